// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

const (
	// retryPause is how long a listener waits after the kernel failed it.
	retryPause = 5 * time.Second
	// showPause is how long what is shown stays at least: a neighbour that says something else all the time does not keep
	// the node busy with telling it.
	showPause = 5 * time.Second
)

// A listener listens on one link. All of it happens on the goroutine of run, but for what others read through shown.
type listener struct {
	link string
	// changed is called when shown has changed; it does not block.
	changed func()
	log     logr.Logger

	// poke says that the link may have changed; quit ends run, which then closes done.
	poke, quit, done chan struct{}
	// shown are the neighbours as the node shows them; nil before there were any.
	shown atomic.Pointer[netstate.LLDPNeighbors]

	conn  *conn
	table table
	// news says that shown is not what the table has, and showAt when it may be brought up to date.
	news   bool
	showAt time.Time
	// retry is when to look at the link again; zero for when it changes.
	retry time.Time
}

// start lets the listener run.
func (l *listener) start() {
	l.poke, l.quit, l.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go l.run()
}

// stop ends the listener. When it returns, its socket is closed.
func (l *listener) stop() {
	close(l.quit)
	<-l.done
}

// nudge makes the listener look at its link. It never blocks.
func (l *listener) nudge() {
	select {
	case l.poke <- struct{}{}:
	default: // it is about to look anyway
	}
}

// run listens until quit.
func (l *listener) run() {
	defer close(l.done)
	defer l.hangUp()
	l.look(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.act(time.Now())
		timer.Reset(l.rest(time.Now()))
		var heard <-chan announcement
		if l.conn != nil {
			heard = l.conn.heard
		}
		select {
		case <-l.quit:
			return
		case <-l.poke:
			l.look(time.Now())
		case a, open := <-heard:
			if !open { // the kernel ends a conn when the link goes down
				l.hangUp()
				l.retry = time.Now().Add(retryPause)
				continue
			}
			l.news = l.table.hear(time.Now(), a) || l.news
		case <-timer.C:
		}
	}
}

// act does everything that is due.
func (l *listener) act(now time.Time) {
	if !l.retry.IsZero() && !now.Before(l.retry) {
		l.look(now)
	}
	l.news = l.table.expire(now) || l.news
	if l.news && !now.Before(l.showAt) {
		l.shown.Store(new(l.table.neighbors()))
		l.news, l.showAt = false, now.Add(showPause)
		l.changed()
	}
}

// rest is how long there is nothing to do, unless something happens.
func (l *listener) rest(now time.Time) time.Duration {
	const long = time.Hour
	next := now.Add(long)
	for _, at := range []time.Time{l.table.wake(), l.retry} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if l.news && l.showAt.Before(next) {
		next = l.showAt
	}
	return max(next.Sub(now), 0)
}

// look makes sure that the link is listened to while it has a carrier. Without one there are no neighbours.
func (l *listener) look(now time.Time) {
	l.retry = time.Time{}
	nic, err := net.InterfaceByName(l.link)
	if err != nil || nic.Flags&net.FlagUp == 0 || nic.Flags&net.FlagRunning == 0 {
		l.hangUp()
		l.news = l.table.clear() || l.news
		return
	}
	if l.conn != nil && l.conn.index != nic.Index {
		l.hangUp() // it is another link by now
		l.news = l.table.clear() || l.news
	}
	if l.conn != nil {
		return
	}
	if l.conn, err = listen(nic); err != nil {
		l.log.Error(err, "cannot listen for neighbours", "link", l.link)
		l.retry = now.Add(retryPause)
	}
}

// hangUp closes the conn, if there is one.
func (l *listener) hangUp() {
	if l.conn != nil {
		l.conn.close()
		l.conn = nil
	}
}
