package main

import (
	"fmt"

	pb "go.etcd.io/etcd/raft/raftpb"
)

// script is one member, and what happens to it.
type script struct {
	m *member
}

// newScript takes SELF TERM VOTE BASE BASE_TERM TERMS CONFIG.
func newScript(words []string) *script {
	base := number(words[3])
	hard := pb.HardState{Term: number(words[1]), Vote: number(words[2]), Commit: base}
	d := newDisk(base, number(words[4]), hard, parseConfig(words[6]))
	must(d.Append(parseEntries(base, words[5])))
	return &script{m: startMember(number(words[0]), d)}
}

// step does one thing, and says "DONE STATE READS DECISIONS"; DONE is 0 for what was refused.
//
//	recv MESSAGE    late MESSAGE: the same, with the lease over
//	snapshot FROM TERM INDEX INDEX_TERM CONFIG
//	campaign  expire  check  propose  change CHANGE  transfer ID  read ROUND  nothing
func (s *script) step(words []string) string {
	done := s.do(words)
	s.m.settle()
	return fmt.Sprintf("%d %s %d %s", bit(done), s.m.state(), s.m.reads,
		formatMessages(s.m.take()))
}

func (s *script) do(words []string) bool {
	switch words[0] {
	case "late":
		s.m.expire()
		return s.m.node.Step(parseMessage(s.m.id, words[1:])) == nil
	case "recv":
		return s.m.node.Step(parseMessage(s.m.id, words[1:])) == nil
	case "snapshot":
		return s.m.node.Step(parseSnapshot(s.m.id, words[1:])) == nil
	case "campaign": // so much later that the leader's lease is over
		s.m.expire()
		return s.m.node.Campaign() == nil
	case "expire":
		s.m.expire()
	case "check":
		s.m.check()
	case "propose":
		return s.m.node.Propose([]byte("x")) == nil
	case "change":
		return s.m.change(parseChange(words[1]))
	case "transfer":
		s.m.node.TransferLeader(number(words[1]))
	case "read":
		s.m.node.ReadIndex([]byte(words[1]))
	case "nothing":
	default:
		panic("unknown step " + words[0])
	}
	return true
}
