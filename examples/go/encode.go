// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/sr"
)

// An encoder turns an event into the value of its record.
type encoder func(ctx context.Context, prefix string, e event) ([]byte, error)

// A phaseCodec is what is known of one phase's schema.
type phaseCodec struct {
	*goavro.Codec
	frame []byte // Confluent's; nil without a registry
}

// newEncoder returns an encoder that reads a schema, and looks it up, when it is first needed.
func newEncoder(registry *sr.Client, schemas string) encoder {
	codecs := map[string]*phaseCodec{}
	return func(ctx context.Context, prefix string, e event) ([]byte, error) {
		codec, known := codecs[e.phase]
		if !known {
			var err error
			file := filepath.Join(schemas, e.phase+".avsc")
			if codec, err = newPhaseCodec(ctx, registry, file, prefix+e.name()); err != nil {
				return nil, err
			}
			codecs[e.phase] = codec
		}
		if codec.frame == nil {
			return codec.SingleFromNative(nil, e.fields)
		}
		return codec.BinaryFromNative(append([]byte(nil), codec.frame...), e.fields)
	}
}

func newPhaseCodec(ctx context.Context, registry *sr.Client, file, topic string) (*phaseCodec, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	plain, err := withoutLogicalTypes(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	codec, err := goavro.NewCodec(plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if registry == nil {
		return &phaseCodec{Codec: codec}, nil
	}
	// Looked up by the file's own text, never registered: that is for `envelopectl` alone.
	found, err := registry.LookupSchema(ctx, topic+"-value", sr.Schema{Schema: string(text)})
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	frame, err := new(sr.ConfluentHeader).AppendEncode(nil, found.ID, nil)
	return &phaseCodec{codec, frame}, err
}

// withoutLogicalTypes removes what goavro's fingerprint is wrong with: in the canonical form that
// the Avro specification gives, {"type":"long","logicalType":...} is "long". Times are then plain
// integers, and the bytes are the same.
func withoutLogicalTypes(schema []byte) (string, error) {
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(schema))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return "", err
	}
	strip(tree)
	text, err := json.Marshal(tree)
	return string(text), err
}

func strip(tree any) {
	switch node := tree.(type) {
	case map[string]any:
		delete(node, "logicalType")
		for _, member := range node {
			strip(member)
		}
	case []any:
		for _, item := range node {
			strip(item)
		}
	}
}
