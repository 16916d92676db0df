package main

import (
	"strings"

	"go.etcd.io/etcd/raft"
	pb "go.etcd.io/etcd/raft/raftpb"
	"go.etcd.io/etcd/raft/tracker"
)

const roundsMax = 64

// group is some members, and the ways between them.
type group struct {
	members map[uint64]*member // nil: down
	disks   map[uint64]*disk
	count   uint64
	cut     map[[2]uint64]bool // nothing passes from one to the other
}

// newGroup takes NODES CONFIG.
func newGroup(words []string) *group {
	g := &group{
		members: map[uint64]*member{},
		disks:   map[uint64]*disk{},
		count:   number(words[0]),
		cut:     map[[2]uint64]bool{},
	}
	for id := uint64(1); id <= g.count; id++ {
		g.disks[id] = newDisk(0, 0, pb.HardState{}, parseConfig(words[1]))
		g.members[id] = startMember(id, g.disks[id])
	}
	return g
}

// step does one thing, lets the group come to rest, and says "STATE | STATE | ..."; down: "down".
//
//	timeout ID  expire ID  check ID  propose ID  change ID CHANGE  transfer ID ID
//	crash ID  start ID  compact ID  cut FROM TO  heal FROM TO
func (g *group) step(words []string) string {
	g.do(words[0], words[1:])
	g.rest()
	var states []string
	for id := uint64(1); id <= g.count; id++ {
		if g.members[id] == nil {
			states = append(states, "down")
		} else {
			states = append(states, g.members[id].state())
		}
	}
	return strings.Join(states, " | ")
}

// What is refused is seen in the state.
func (g *group) do(what string, words []string) {
	id := number(words[0])
	m := g.members[id]
	switch what {
	case "timeout":
		m.expire()
		_ = m.node.Campaign()
	case "expire":
		m.expire()
	case "check":
		m.check()
	case "propose":
		_ = m.node.Propose([]byte("x"))
	case "change":
		_ = m.node.ProposeConfChange(parseChange(words[1]))
	case "transfer":
		m.node.TransferLeader(number(words[1]))
	case "crash":
		g.members[id] = nil
	case "start":
		g.members[id] = startMember(id, g.disks[id])
	case "compact":
		m.disk.compact()
	case "cut":
		g.cut[[2]uint64{id, number(words[1])}] = true
	case "heal":
		delete(g.cut, [2]uint64{id, number(words[1])})
	default:
		panic("unknown action " + what)
	}
}

// rest delivers whatever can be delivered, and then heartbeats, until they change nothing.
func (g *group) rest() {
	g.deliver()
	for round, before := 0, ""; round < roundsMax; round++ {
		now := g.fingerprint()
		if now == before {
			return
		}
		before = now
		g.beat()
		g.deliver()
	}
	panic("the group does not come to rest")
}

func (g *group) fingerprint() string {
	var all strings.Builder

	for id := uint64(1); id <= g.count; id++ {
		if g.members[id] != nil {
			all.WriteString(g.members[id].state())
		}
		all.WriteString("|")
	}
	return all.String()
}

func (g *group) beat() {
	for id := uint64(1); id <= g.count; id++ {
		if m := g.members[id]; m != nil && m.node.BasicStatus().RaftState == raft.StateLeader {
			m.giveUpSnapshots()
			m.node.Tick()
		}
	}
}

// At rest, a snapshot under way has been lost.
func (m *member) giveUpSnapshots() {
	for id, progress := range m.node.Status().Progress {
		if progress.State == tracker.StateSnapshot {
			m.node.ReportSnapshot(id, raft.SnapshotFailure)
		}
	}
}

func (g *group) deliver() {
	for {
		var flying []pb.Message
		for id := uint64(1); id <= g.count; id++ {
			if m := g.members[id]; m != nil {
				m.settle()
				flying = append(flying, m.take()...)
			}
		}
		if len(flying) == 0 {
			return
		}
		for _, message := range flying {
			to := g.members[message.To]
			if to == nil || g.cut[[2]uint64{message.From, message.To}] {
				continue
			}
			_ = to.node.Step(message)
			to.settle()
		}
	}
}
