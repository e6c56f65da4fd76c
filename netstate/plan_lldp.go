// SPDX-License-Identifier: Apache-2.0

package netstate

// stopListening stops what listens on links that go, or that are not to be listened to any more.
func (p *planner) stopListening() {
	for _, name := range p.nowOrder {
		if p.now[name].Listens() && (p.gone(name) || !p.target[name].Listens()) {
			p.emitLLDP(name, false)
		}
	}
}

func (p *planner) startListening() {
	for _, name := range p.order {
		if p.target[name].Listens() && (p.fresh(name) || !p.now[name].Listens()) {
			p.emitLLDP(name, true)
		}
	}
}

func (p *planner) emitLLDP(name string, on bool) {
	value := func(on bool) Value { return Value{Link: &Interface{Name: name, LLDP: &LLDP{Enabled: new(on)}}} }
	p.emit(StepLLDP, name, value(!on), value(on))
}
