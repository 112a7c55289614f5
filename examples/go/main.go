// SPDX-License-Identifier: Apache-2.0

// Lifecycle writes two execution envelopes to Kafka: a whole lifecycle, and a request that is denied.
// The events are in events.go, how an event becomes bytes is in encode.go.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

const deadline = 30 * time.Second

func main() {
	bootstrap := flag.String("bootstrap", "", "Kafka brokers, `HOST:PORT,...`")
	registry := flag.String("schema-registry", "", "`URL`; without: Avro single-object encoding")
	prefix := flag.String("topic-prefix", "", "`TEXT` before each topic's name")
	schemas := flag.String("schemas", "schemas", "`DIR` with the project's *.avsc")
	flag.Parse()
	if *bootstrap == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "lifecycle: -bootstrap is required, and there are no other arguments than options")
		flag.Usage()
		os.Exit(2)
	}
	if err := run(strings.Split(*bootstrap, ","), *registry, *prefix, *schemas); err != nil {
		fmt.Fprintln(os.Stderr, "lifecycle:", err)
		os.Exit(1)
	}
}

func run(brokers []string, registryURL, prefix, schemas string) error {
	var registry *sr.Client
	if registryURL != "" {
		var err error
		if registry, err = sr.NewClient(sr.URLs(registryURL)); err != nil {
			return err
		}
	}
	// The defaults are what envelopes want: idempotent, acks=all, and a partition by murmur2
	// of the key, as Java's.
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordDeliveryTimeout(deadline))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	defer cancel()

	encode := newEncoder(registry, schemas)
	// A service stamps each event when it happens; these are as if the deployment had just ended.
	began := time.Now().Add(-902 * time.Second)
	var records []*kgo.Record
	for _, envelope := range [][]event{deployment(began), denial(began)} {
		traceID := randomHex(16)
		for _, e := range envelope {
			value, err := encode(ctx, prefix, e)
			if err != nil {
				return fmt.Errorf("not sent: %s: %w", prefix+e.name(), err)
			}
			records = append(records, newRecord(prefix, traceID, e, value))
		}
	}
	return report(client.ProduceSync(ctx, records...))
}

// newRecord makes a record under its envelope's id, with the headers of the CloudEvents binding.
func newRecord(prefix, traceID string, e event, value []byte) *kgo.Record {
	header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	return &kgo.Record{
		Topic: prefix + e.name(),
		Key:   []byte(e.fields["envelope_id"].(string)),
		Value: value,
		Headers: []kgo.RecordHeader{
			header("ce_specversion", "1.0"),
			header("ce_id", e.fields["event_id"].(string)),
			header("ce_type", e.name()),
			header("ce_source", e.fields["source"].(string)),
			header("ce_time", e.at.UTC().Format("2006-01-02T15:04:05.000000Z")),
			header("ce_dataschema", "urn:avro:envelope.v1."+strings.ToUpper(e.phase[:1])+e.phase[1:]),
			header("content-type", "application/avro"),
			header("traceparent", "00-"+traceID+"-"+randomHex(8)+"-01"), // your tracer's, in a service
		},
	}
}

// report prints where each record went, and which went nowhere.
func report(results kgo.ProduceResults) error {
	undelivered := 0
	for _, result := range results {
		r := result.Record
		if result.Err != nil {
			undelivered++
			fmt.Fprintf(os.Stderr, "lifecycle: not delivered: %s %s: %v\n", r.Topic, r.Key, result.Err)
			continue
		}
		fmt.Println(r.Topic, r.Partition, r.Offset, string(r.Key))
	}
	if undelivered > 0 {
		return fmt.Errorf("%d of %d events were not delivered", undelivered, len(results))
	}
	return nil
}

func randomHex(size int) string {
	random := make([]byte, size)
	if _, err := rand.Read(random); err != nil {
		panic(err) // the system has no randomness
	}
	return hex.EncodeToString(random)
}
