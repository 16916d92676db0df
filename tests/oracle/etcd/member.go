package main

import (
	"fmt"
	"strconv"

	"go.etcd.io/etcd/raft"
	pb "go.etcd.io/etcd/raft/raftpb"
)

// Long enough that a leader's heartbeats, one a tick, never add up to it.
const electionTicks = 10000

// disk is what survives a restart: also the membership that was applied.
type disk struct {
	*raft.MemoryStorage
	conf    pb.ConfState
	applied uint64
}

func (d *disk) InitialState() (pb.HardState, pb.ConfState, error) {
	hard, _, err := d.MemoryStorage.InitialState()
	return hard, d.conf, err
}

// Snapshot is of what is applied now, as ours is.
func (d *disk) Snapshot() (pb.Snapshot, error) {
	if _, err := d.CreateSnapshot(d.applied, &d.conf, nil); err != nil && err != raft.ErrSnapOutOfDate {
		return pb.Snapshot{}, err
	}
	return d.MemoryStorage.Snapshot()
}

// compact lets the log begin after what is applied.
func (d *disk) compact() {
	if _, err := d.Snapshot(); err != nil {
		panic(err)
	}
	if err := d.Compact(d.applied); err != nil && err != raft.ErrCompacted {
		panic(err)
	}
}

// silent drops what etcd logs; its panics come through.
type silent struct{}

func (silent) Debug(v ...interface{})              {}
func (silent) Debugf(f string, v ...interface{})   {}
func (silent) Error(v ...interface{})              {}
func (silent) Errorf(f string, v ...interface{})   {}
func (silent) Info(v ...interface{})               {}
func (silent) Infof(f string, v ...interface{})    {}
func (silent) Warning(v ...interface{})            {}
func (silent) Warningf(f string, v ...interface{}) {}
func (silent) Fatal(v ...interface{})              { panic(fmt.Sprint(v...)) }
func (silent) Fatalf(f string, v ...interface{})   { panic(fmt.Sprintf(f, v...)) }
func (silent) Panic(v ...interface{})              { panic(fmt.Sprint(v...)) }
func (silent) Panicf(f string, v ...interface{})   { panic(fmt.Sprintf(f, v...)) }

// member is one node, whose disk is never late.
type member struct {
	id    uint64
	disk  *disk
	node  *raft.RawNode
	out   []pb.Message // since they were last taken
	reads uint64       // the last read that was confirmed
}

func newDisk(base, baseTerm uint64, hard pb.HardState, conf pb.ConfState) *disk {
	d := &disk{MemoryStorage: raft.NewMemoryStorage(), conf: conf, applied: base}
	if base > 0 {
		snapshot := pb.Snapshot{Metadata: pb.SnapshotMetadata{
			Index: base, Term: baseTerm, ConfState: conf}}
		must(d.ApplySnapshot(snapshot))
	}
	must(d.SetHardState(hard))
	return d
}

func startMember(id uint64, d *disk) *member {
	node, err := raft.NewRawNode(&raft.Config{
		ID:                        id,
		ElectionTick:              electionTicks,
		HeartbeatTick:             1,
		Storage:                   d,
		Applied:                   d.applied,
		MaxSizePerMsg:             1 << 20,
		MaxInflightMsgs:           256,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		Logger:                    silent{},
	})
	must(err)
	m := &member{id: id, disk: d, node: node}
	m.settle()
	return m
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// settle persists and applies until there is nothing more to do.
func (m *member) settle() {
	for m.node.HasReady() {
		ready := m.node.Ready()
		if !raft.IsEmptyHardState(ready.HardState) {
			must(m.disk.SetHardState(ready.HardState))
		}
		if !raft.IsEmptySnap(ready.Snapshot) {
			must(m.disk.ApplySnapshot(ready.Snapshot))
			m.disk.applied = ready.Snapshot.Metadata.Index
			m.disk.conf = ready.Snapshot.Metadata.ConfState
		}
		must(m.disk.Append(ready.Entries))
		m.out = append(m.out, ready.Messages...)
		for _, read := range ready.ReadStates {
			round, err := strconv.ParseUint(string(read.RequestCtx), 10, 64)
			must(err)
			m.reads = max(m.reads, round)
		}
		for _, entry := range ready.CommittedEntries {
			m.apply(entry)
		}
		m.node.Advance(ready)
	}
}

func max(a, b uint64) uint64 {
	if a > b {
		return a
	}
	return b
}

func (m *member) apply(entry pb.Entry) {
	m.disk.applied = entry.Index
	switch entry.Type {
	case pb.EntryConfChange:
		var change pb.ConfChange
		must(change.Unmarshal(entry.Data))
		m.disk.conf = *m.node.ApplyConfChange(change)
	case pb.EntryConfChangeV2:
		var change pb.ConfChangeV2
		must(change.Unmarshal(entry.Data))
		m.disk.conf = *m.node.ApplyConfChange(change)
	}
}

func (m *member) take() []pb.Message {
	out := m.out
	m.out = nil
	return out
}

// The lease ends, and nobody stands because of it.
func (m *member) expire() {
	for i := 0; i < electionTicks; i++ {
		m.node.TickQuiesced()
	}
}

// A leader asks itself whether a majority is there.
func (m *member) check() {
	m.expire()
	m.node.Tick()
}

// change proposes a membership; false: it was refused.
func (m *member) change(change pb.ConfChangeV2) bool {
	if m.node.ProposeConfChange(change) != nil {
		return false
	}
	last := m.last()
	m.settle()
	entries := m.entries()
	for _, entry := range entries {
		if entry.Index > last {
			return entry.Type == pb.EntryConfChangeV2
		}
	}
	return false
}

func (m *member) last() uint64 {
	last, err := m.disk.LastIndex()
	must(err)
	return last
}

func (m *member) entries() []pb.Entry {
	first, err := m.disk.FirstIndex()
	must(err)
	if first > m.last() {
		return nil
	}
	entries, err := m.disk.Entries(first, m.last()+1, 1<<40)
	must(err)
	return entries
}

// state is ROLE TERM VOTE LEADER COMMIT LAST TERMS CONFIG MATCHES, the last for leaders.
func (m *member) state() string {
	var terms, matches []string

	status := m.node.Status()
	for _, entry := range m.entries() {
		terms = append(terms, strconv.FormatUint(entry.Term, 10))
	}
	for id := uint64(1); id <= idMax; id++ {
		if progress, ok := status.Progress[id]; ok {
			matches = append(matches, fmt.Sprintf("%d=%d", id, progress.Match))
		}
	}
	return fmt.Sprintf("%s %d %d %d %d %d %s %s %s", roles[status.RaftState], status.Term,
		status.Vote, status.Lead, status.Commit, m.last(), join(terms),
		formatConfig(m.disk.conf), join(matches))
}

const idMax = 9
