// Package agent speaks the agent protocol of tests/src/agent.rs: a JSON request
// per line of stdin, a JSON answer per line of stdout.
package agent

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// Library is what a client library has to offer to be tested.
type Library interface {
	Create(topic string, partitions int32) error
	// Produce returns the offset of each record.
	Produce(topic, codec string, records []Record) ([]int64, error)
	// Subscribe starts a group member that fills the inbox.
	Subscribe(topic, group string, inbox *Inbox) error
	// Commit takes, by partition, the offset to go on at.
	Commit(next map[int32]int64) error
	Close() error
}

// Record is a record as the protocol writes it; a nil text is null.
type Record struct {
	Partition int32        `json:"partition"`
	Offset    int64        `json:"offset"`
	Timestamp int64        `json:"timestamp"`
	Key       *string      `json:"key"`
	Value     *string      `json:"value"`
	Headers   [][2]*string `json:"headers"`
}

// Inbox holds what a consumer got until somebody takes it.
type Inbox struct {
	mu         sync.Mutex
	changed    *sync.Cond
	records    []Record
	partitions map[int32]bool
}

func newInbox() *Inbox {
	inbox := &Inbox{partitions: map[int32]bool{}}
	inbox.changed = sync.NewCond(&inbox.mu)
	return inbox
}

// Push adds a record.
func (i *Inbox) Push(record Record) {
	i.update(func() { i.records = append(i.records, record) })
}

// Assign adds partitions to the member's.
func (i *Inbox) Assign(partitions []int32) {
	i.update(func() {
		for _, partition := range partitions {
			i.partitions[partition] = true
		}
	})
}

// Revoke takes partitions from the member's.
func (i *Inbox) Revoke(partitions []int32) {
	i.update(func() {
		for _, partition := range partitions {
			delete(i.partitions, partition)
		}
	})
}

func (i *Inbox) update(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
	i.changed.Broadcast()
}

func (i *Inbox) take(count int) []Record {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.records) < count {
		i.changed.Wait()
	}
	taken := i.records[:count:count]
	i.records = i.records[count:]
	return taken
}

func (i *Inbox) assigned(count int) []int32 {
	i.mu.Lock()
	defer i.mu.Unlock()
	for len(i.partitions) != count {
		i.changed.Wait()
	}
	var partitions []int32
	for partition := range i.partitions {
		partitions = append(partitions, partition)
	}
	return partitions
}

type request struct {
	Do         string
	Topic      string
	Codec      string
	Group      string
	Partitions int32
	Count      int
	Records    []Record
}

type server struct {
	library Library
	inbox   *Inbox
	next    map[int32]int64
}

// Serve answers requests until stdin ends.
func Serve(library Library) {
	server := &server{library: library}
	lines := bufio.NewReader(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var request request
		answer := map[string]any{}
		if err = json.Unmarshal(line, &request); err == nil {
			err = server.serve(request, answer)
		}
		if err != nil {
			answer["error"] = err.Error()
		}
		answers.Encode(answer)
	}
}

func (s *server) serve(request request, answer map[string]any) (err error) {
	switch request.Do {
	case "create":
		return s.library.Create(request.Topic, request.Partitions)
	case "produce":
		answer["offsets"], err = s.library.Produce(request.Topic, request.Codec, request.Records)
	case "subscribe":
		s.inbox, s.next = newInbox(), map[int32]int64{}
		return s.library.Subscribe(request.Topic, request.Group, s.inbox)
	case "assignment":
		answer["partitions"] = s.inbox.assigned(int(request.Partitions))
	case "poll":
		records := s.inbox.take(request.Count)
		for _, record := range records {
			s.next[record.Partition] = record.Offset + 1
		}
		answer["records"] = records
	case "commit":
		return s.library.Commit(s.next)
	case "close":
		return s.library.Close()
	default:
		return fmt.Errorf("no such request: %q", request.Do)
	}
	return err
}

// Bytes of a text; null stays null.
func Bytes(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

// Text of bytes; null stays null.
func Text(data []byte) *string {
	if data == nil {
		return nil
	}
	text := string(data)
	return &text
}
