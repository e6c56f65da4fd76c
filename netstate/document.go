// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// The limits of a document. They are far above anything a node has and keep a hostile document (aliases
// of aliases, a million brackets) from costing more than its own size.
const (
	maxNodes = 1_000_000
	maxDepth = 100
)

type nodeKind int

const (
	nullNode nodeKind = iota
	scalarNode
	listNode
	mapNode
)

func (k nodeKind) String() string {
	return [...]string{"null", "a single value", "a list", "a map"}[k]
}

// A node is one value of a YAML or JSON document. Scalars keep their literal text, so that an interface
// called 0 or 60e2 keeps its name.
type node struct {
	kind  nodeKind
	text  string
	keys  []string // of a map, in the order of the document
	items []node   // of a list, or the values that go with keys
}

// member returns the value of a key of a map.
func (n node) member(key string) (node, bool) {
	if n.kind != mapNode {
		return node{}, false
	}
	for at, k := range n.keys {
		if k == key {
			return n.items[at], true
		}
	}
	return node{}, false
}

// readDocument reads one YAML or JSON document. An empty document is a null.
func readDocument(data []byte) (node, error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		decoder := json.NewDecoder(bytes.NewReader(trimmed))
		decoder.UseNumber()
		return readJSON(decoder, 0)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return node{}, nil
	}
	if err != nil {
		return node{}, fmt.Errorf("not YAML: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return node{}, errors.New("more than one document")
	}
	budget := maxNodes
	return readYAML(&document, &budget, 0)
}

func readJSON(decoder *json.Decoder, depth int) (node, error) {
	token, err := decoder.Token()
	if err != nil {
		return node{}, fmt.Errorf("not JSON: %w", err)
	}
	if depth > maxDepth {
		return node{}, errors.New("nested too deeply")
	}
	switch value := token.(type) {
	case nil:
		return node{}, nil
	case json.Delim:
		return readJSONCollection(decoder, value, depth)
	default:
		return node{kind: scalarNode, text: fmt.Sprint(value)}, nil
	}
}

func readJSONCollection(decoder *json.Decoder, open json.Delim, depth int) (node, error) {
	collection := node{kind: listNode}
	if open == '{' {
		collection.kind = mapNode
	}
	for decoder.More() {
		if collection.kind == mapNode {
			key, err := decoder.Token()
			if err != nil {
				return node{}, fmt.Errorf("not JSON: %w", err)
			}
			collection.keys = append(collection.keys, fmt.Sprint(key))
		}
		item, err := readJSON(decoder, depth+1)
		if err != nil {
			return node{}, err
		}
		collection.items = append(collection.items, item)
	}
	if _, err := decoder.Token(); err != nil {
		return node{}, fmt.Errorf("not JSON: %w", err)
	}
	return collection, nil
}

func readYAML(from *yaml.Node, budget *int, depth int) (node, error) {
	if *budget--; *budget < 0 {
		return node{}, errors.New("too large once its aliases are expanded")
	}
	if depth > maxDepth {
		return node{}, errors.New("nested too deeply")
	}
	switch from.Kind {
	case yaml.DocumentNode:
		return readYAML(from.Content[0], budget, depth)
	case yaml.AliasNode:
		return readYAML(from.Alias, budget, depth+1)
	case yaml.ScalarNode:
		if from.Tag == "!!null" {
			return node{}, nil
		}
		return node{kind: scalarNode, text: from.Value}, nil
	case yaml.SequenceNode:
		return readYAMLItems(node{kind: listNode}, from.Content, budget, depth)
	case yaml.MappingNode:
		return readYAMLMap(from, budget, depth)
	}
	return node{}, nil
}

func readYAMLMap(from *yaml.Node, budget *int, depth int) (node, error) {
	collection := node{kind: mapNode}
	values := make([]*yaml.Node, 0, len(from.Content)/2)
	for at := 0; at+1 < len(from.Content); at += 2 {
		key := from.Content[at]
		if key.Kind != yaml.ScalarNode {
			return node{}, fmt.Errorf("line %d: a key must be a plain word", key.Line)
		}
		collection.keys = append(collection.keys, key.Value)
		values = append(values, from.Content[at+1])
	}
	return readYAMLItems(collection, values, budget, depth)
}

func readYAMLItems(collection node, items []*yaml.Node, budget *int, depth int) (node, error) {
	for _, item := range items {
		read, err := readYAML(item, budget, depth+1)
		if err != nil {
			return node{}, err
		}
		collection.items = append(collection.items, read)
	}
	return collection, nil
}
