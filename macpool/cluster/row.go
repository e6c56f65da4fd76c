// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A row is the state of one address, or of neighbours that were reserved at once. As text it is words that are apart by
// a space:
//
//	<address>[-<last octet of the last address>] <claim> [ | <claim> ]...
//
// A claim is a hold: kind, namespace/name, then interface=, generateName=, claim=, since= and the word shared as far as
// they apply; or a reservation: the word reserved, then replica=, since= and the word contested. Several addresses of
// one row have a reservation, and no hold.
type row struct {
	first macpool.MAC
	last  byte // the last octet of the last address
	entry macpool.Entry
}

const (
	separator = "|"
	reserved  = "reserved"
	shared    = "shared"
	contested = "contested"

	keyInterface    = "interface"
	keyGenerateName = "generateName"
	keyClaim        = "claim"
	keyReplica      = "replica"
	keySince        = "since"

	// sinceLayout is RFC 3339 with all the digits that the ledger keeps.
	sinceLayout = "2006-01-02T15:04:05.000000Z07:00"
)

// rowsOf returns the rows of what is not free in a block, ascending.
func rowsOf(b *macpool.Block) []row {
	var rows []row
	for m, e := range b.Entries() {
		if n := len(rows); n > 0 && rows[n-1].goesOn(m, e) {
			rows[n-1].last = m[5]
			continue
		}
		rows = append(rows, row{first: m, last: m[5], entry: e})
	}
	return rows
}

// goesOn reports whether an address may be in the row of those before it.
func (r row) goesOn(m macpool.MAC, e macpool.Entry) bool {
	return m[5] == r.last+1 && onlyReserved(e) && onlyReserved(r.entry) && e.Reservation.Same(r.entry.Reservation)
}

func onlyReserved(e macpool.Entry) bool { return len(e.Holds) == 0 && e.Unread == "" }

// addresses are those of the row, ascending.
func (r row) addresses() iter.Seq[macpool.MAC] {
	return func(yield func(macpool.MAC) bool) {
		for suffix := int(r.first[5]); suffix <= int(r.last); suffix++ {
			if !yield(r.first.Prefix().Address(byte(suffix))) {
				return
			}
		}
	}
}

// unread returns what is kept of the text of a row for one of its addresses, where the text cannot be read.
func (r row) unread(m macpool.MAC, text string) string {
	if r.last == r.first[5] {
		return text
	}
	_, claims, _ := strings.Cut(text, " ")
	return m.String() + " " + claims
}

// String returns the text of a row.
func (r row) String() string {
	e := r.entry
	if e.Unread != "" {
		return e.Unread
	}
	text := make([]byte, 0, 128)
	text = append(text, r.first.String()...)
	if r.last != r.first[5] {
		text = fmt.Appendf(text, "-%02x", r.last)
	}
	for i, h := range e.Holds {
		if i > 0 {
			text = append(text, " "+separator...)
		}
		text = appendHold(text, h)
	}
	if reservation := e.Reservation; reservation.Replica != "" {
		if len(e.Holds) > 0 {
			text = append(text, " "+separator...)
		}
		text = append(text, " "+reserved...)
		text = appendSetting(text, keyReplica, reservation.Replica)
		text = appendSetting(text, keySince, reservation.Since.UTC().Format(sinceLayout))
		if reservation.Contested {
			text = append(text, " "+contested...)
		}
	}
	return string(text)
}

func appendHold(row []byte, h macpool.Hold) []byte {
	row = append(row, ' ')
	row = appendQuoted(row, h.Kind)
	row = append(row, ' ')
	row = appendQuoted(row, h.Namespace+"/"+h.Name)
	for _, setting := range [][2]string{
		{keyGenerateName, h.GenerateName}, {keyClaim, h.Claim}, {keyInterface, h.Interface},
	} {
		if setting[1] != "" {
			row = appendSetting(row, setting[0], setting[1])
		}
	}
	row = appendSetting(row, keySince, h.Since.UTC().Format(sinceLayout))
	if h.Shared {
		row = append(row, " "+shared...)
	}
	return row
}

func appendSetting(row []byte, key, value string) []byte {
	row = append(row, ' ')
	row = append(row, key...)
	row = append(row, '=')
	return appendQuoted(row, value)
}

// appendQuoted writes a text so that it is one word, in quotes if it has to be.
func appendQuoted(row []byte, text string) []byte {
	for i := range len(text) {
		c := text[i]
		plain := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !plain && strings.IndexByte("-_.:/+*@,", c) < 0 {
			return strconv.AppendQuoteToASCII(row, text)
		}
	}
	if text == "" {
		return append(row, `""`...)
	}
	return append(row, text...)
}

// A word is one of a row. Those that are no setting have no key.
type word struct{ key, text string }

// parseRow reads the text of a row. With an error, the row has the addresses as far as they can be read.
func parseRow(text string) (row, error) {
	addresses, rest, _ := strings.Cut(text, " ")
	r, err := parseAddresses(addresses)
	if err != nil {
		return r, err
	}
	words, err := splitWords(rest)
	if err != nil {
		return r, fmt.Errorf("row %q: %w", text, err)
	}
	for begin, end := 0, 0; end <= len(words); end++ {
		if end < len(words) && words[end] != (word{text: separator}) {
			continue
		}
		if err := parseClaim(words[begin:end], &r.entry); err != nil {
			return r, fmt.Errorf("row %q: %w", text, err)
		}
		begin = end + 1
	}
	if r.last != r.first[5] && len(r.entry.Holds) > 0 {
		return r, fmt.Errorf("row %q: addresses that are held have a row each", text)
	}
	return r, nil
}

// parseAddresses reads the addresses of a row.
func parseAddresses(text string) (row, error) {
	first, last, several := strings.Cut(text, "-")
	m, err := macpool.ParseMAC(first)
	r := row{first: m, last: m[5]}
	if err != nil {
		return r, fmt.Errorf("address %q %w", first, err)
	}
	if !several {
		return r, nil
	}
	octet, err := hex.DecodeString(last)
	if err != nil || len(octet) != 1 || octet[0] <= r.last {
		return r, fmt.Errorf("addresses %q: want the last octet of the last address after the dash, such as %s-ff", text, first)
	}
	r.last = octet[0]
	return r, nil
}

// splitWords splits what follows the address.
func splitWords(text string) ([]word, error) {
	words := make([]word, 0, 8)
	for text != "" {
		var w word
		if end := strings.IndexAny(text, ` ="`); end >= 0 && text[end] == '=' {
			w.key, text = text[:end], text[end+1:]
		}
		if strings.HasPrefix(text, `"`) {
			quoted, err := strconv.QuotedPrefix(text)
			if err == nil {
				w.text, err = strconv.Unquote(quoted)
			}
			if err != nil {
				return nil, errors.New("unterminated quotes")
			}
			text = text[len(quoted):]
			if text != "" && text[0] != ' ' {
				return nil, errors.New("no space after quotes")
			}
			text = strings.TrimPrefix(text, " ")
		} else {
			w.text, text, _ = strings.Cut(text, " ")
		}
		words = append(words, w)
	}
	return words, nil
}

// parseClaim reads a hold or a reservation into an entry.
func parseClaim(words []word, e *macpool.Entry) error {
	if len(words) == 0 {
		return errors.New("the address has no holder")
	}
	switch kind := words[0]; kind {
	case word{text: reserved}:
		return parseReservation(words[1:], &e.Reservation)
	case word{text: macpool.KindVM}, word{text: macpool.KindVMI}, word{text: macpool.KindPod}:
		h, err := parseHold(kind.text, words[1:])
		e.Holds = append(e.Holds, h)
		return err
	default:
		return fmt.Errorf("%q is not a kind of holder", kind.text)
	}
}

func parseReservation(words []word, r *macpool.Reservation) error {
	if r.Replica != "" {
		return errors.New("reserved twice")
	}
	for _, w := range words {
		var err error
		switch {
		case w.key == keyReplica && w.text != "":
			r.Replica = w.text
		case w.key == keySince:
			r.Since, err = parseSince(w.text)
		case w == word{text: contested}:
			r.Contested = true
		default:
			err = w.unknown()
		}
		if err != nil {
			return err
		}
	}
	if r.Replica == "" || r.Since.IsZero() {
		return errors.New("a reservation needs replica= and since=")
	}
	return nil
}

func parseHold(kind string, words []word) (h macpool.Hold, err error) {
	h.Kind = kind
	if len(words) == 0 || words[0].key != "" {
		return h, errors.New("a holder needs namespace/name")
	}
	h.Namespace, h.Name, _ = strings.Cut(words[0].text, "/")
	for _, w := range words[1:] {
		switch {
		case w.key == keyInterface:
			h.Interface = w.text
		case w.key == keyGenerateName:
			h.GenerateName = w.text
		case w.key == keyClaim:
			h.Claim = w.text
		case w.key == keySince:
			h.Since, err = parseSince(w.text)
		case w == word{text: shared}:
			h.Shared = true
		default:
			err = w.unknown()
		}
		if err != nil {
			return h, err
		}
	}
	if h.Since.IsZero() {
		return h, errors.New("a holder needs since=")
	}
	return h, nil
}

func parseSince(text string) (time.Time, error) {
	since, err := time.Parse(time.RFC3339Nano, text)
	return dated(since), err
}

func (w word) unknown() error {
	return fmt.Errorf("unknown field %q", w.key+w.text)
}
