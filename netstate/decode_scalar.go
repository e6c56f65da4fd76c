// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (d *decoder) decodeText(n node, into reflect.Value, at *field.Path) {
	if !d.expect(n, scalarNode, at) {
		return
	}
	text := n.text
	prefix, isPrefix := into.Addr().Interface().(*netip.Prefix)
	switch {
	case isPrefix && text == "": // no wildcard: that is a key left out
		d.errs = append(d.errs,
			field.Invalid(at, text, "is empty: leave the key out, or write a network, 0.0.0.0/0 for all"))
		return
	case isPrefix:
		d.decodePrefix(text, prefix, at)
		return
	case text == "":
		return
	}
	if err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		detail := "not a MAC address like 52:55:00:D1:56:00"
		if into.Type() == reflect.TypeFor[netip.Addr]() {
			detail = addressInstead(text)
		}
		d.errs = append(d.errs, field.Invalid(at, text, detail))
	}
}

// addressInstead says what is wrong with an address.
func addressInstead(text string) string {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return "an address has no length: write " + prefix.Addr().String() +
			", and the length beside it where there is a key for it (prefix-length: " + strconv.Itoa(prefix.Bits()) + ")"
	}
	return "not an IP address like 192.0.2.1 or 2001:db8::1"
}

// decodePrefix reads a destination. One without a length is a host; host bits are cleared.
func (d *decoder) decodePrefix(text string, into *netip.Prefix, at *field.Path) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		*into = netip.PrefixFrom(addr, addr.BitLen())
		return
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		detail := "not a destination like 198.51.100.0/24 or 2001:db8::/32"
		switch {
		case strings.EqualFold(text, "default"):
			detail = "has two meanings: write 0.0.0.0/0 or ::/0"
		case strings.Contains(text, "%"):
			detail = "a network has no zone: write it without what begins with %"
		}
		d.errs = append(d.errs, field.Invalid(at, text, detail))
		return
	}
	*into = prefix.Masked()
}

func (d *decoder) decodeScalar(n node, into reflect.Value, tag reflect.StructTag, at *field.Path) {
	if !d.expect(n, scalarNode, at) {
		return
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(spell(n.text, tag))
	case reflect.Bool:
		value, ok := parseBool(n.text)
		if !ok {
			d.errs = append(d.errs, field.Invalid(at, n.text, "not true or false"))
		}
		into.SetBool(value)
	case reflect.Int:
		value, err := parseInt(n.text)
		if err != nil {
			d.errs = append(d.errs, field.Invalid(at, n.text, "not a whole number"))
		}
		into.SetInt(value)
	}
}

// spell returns text as the word of the tag it stands for: any case, and a number where the kernel
// counts the words. Words that are not in the tag are left for Validate.
func spell(text string, tag reflect.StructTag) string {
	words := strings.Fields(tag.Get("words"))
	if numbered := strings.Fields(tag.Get("numbers")); len(numbered) > 0 {
		words = numbered
		if index, err := strconv.Atoi(text); err == nil && index >= 0 && index < len(words) {
			return words[index]
		}
	}
	if at := slices.IndexFunc(words, func(word string) bool { return strings.EqualFold(word, text) }); at >= 0 {
		return words[at]
	}
	return text
}

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1", "y":
		return true, true
	case "false", "no", "off", "0", "n":
		return false, true
	}
	return false, false
}

func parseInt(text string) (int64, error) {
	if hex, isHex := strings.CutPrefix(strings.ToLower(text), "0x"); isHex {
		return strconv.ParseInt(hex, 16, 64)
	}
	return strconv.ParseInt(text, 10, 64)
}
