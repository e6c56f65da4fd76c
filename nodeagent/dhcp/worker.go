// SPDX-License-Identifier: Apache-2.0

package dhcp

// A worker is a goroutine that serves something until it is stopped.
type worker struct {
	// poke says that there may be something to do; quit ends it, and done is closed when it has ended.
	poke, quit, done chan struct{}
}

// start lets it run; run returns when quit is closed.
func (w *worker) start(run func()) {
	w.poke, w.quit, w.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.done)
		run()
	}()
}

// stop ends it. When it returns, it does nothing any more.
func (w *worker) stop() {
	close(w.quit)
	<-w.done
}

// nudge makes it look whether there is something to do. It never blocks.
func (w *worker) nudge() {
	select {
	case w.poke <- struct{}{}:
	default: // it is about to look anyway
	}
}
