package main

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"go.etcd.io/etcd/raft"
	pb "go.etcd.io/etcd/raft/raftpb"
)

// An empty list is written "-"; items are separated by ",".
func split(list string) []string {
	if list == "-" {
		return nil
	}
	return strings.Split(list, ",")
}

func join(items []string) string {
	if len(items) == 0 {
		return "-"
	}
	return strings.Join(items, ",")
}

func number(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func numbers(list string) []uint64 {
	var out []uint64

	for _, word := range split(list) {
		out = append(out, number(word))
	}
	return out
}

func joinNumbers(list []uint64) string {
	var words []string

	sorted := append([]uint64(nil), list...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	for _, n := range sorted {
		words = append(words, strconv.FormatUint(n, 10))
	}
	return join(words)
}

// A membership is VOTERS/OUTGOING/LEARNERS/LEARNERS_NEXT.
func parseConfig(word string) pb.ConfState {
	parts := strings.Split(word, "/")
	conf := pb.ConfState{
		Voters:         numbers(parts[0]),
		VotersOutgoing: numbers(parts[1]),
		Learners:       numbers(parts[2]),
		LearnersNext:   numbers(parts[3]),
	}
	conf.AutoLeave = len(conf.VotersOutgoing) > 0
	return conf
}

func formatConfig(conf pb.ConfState) string {
	return joinNumbers(conf.Voters) + "/" + joinNumbers(conf.VotersOutgoing) + "/" +
		joinNumbers(conf.Learners) + "/" + joinNumbers(conf.LearnersNext)
}

// A change is one of v1 l1 r1, or several, joined by "+".
func parseChange(word string) pb.ConfChangeV2 {
	changes, err := pb.ConfChangesFromString(strings.ReplaceAll(word, "+", " "))
	if err != nil {
		panic(err)
	}
	return pb.ConfChangeV2{Changes: changes}
}

// An entry is TERM, or TERM:CHANGE for a membership.
func parseEntry(index uint64, word string) pb.Entry {
	parts := strings.SplitN(word, ":", 2)
	entry := pb.Entry{Index: index, Term: number(parts[0])}
	if len(parts) == 2 {
		typ, data, err := pb.MarshalConfChange(parseChange(parts[1]))
		if err != nil {
			panic(err)
		}
		entry.Type, entry.Data = typ, data
	}
	return entry
}

func parseEntries(after uint64, list string) []pb.Entry {
	var out []pb.Entry

	for i, word := range split(list) {
		out = append(out, parseEntry(after+1+uint64(i), word))
	}
	return out
}

var kinds = map[string]pb.MessageType{
	"prevote":         pb.MsgPreVote,
	"prevote-reply":   pb.MsgPreVoteResp,
	"vote":            pb.MsgVote,
	"vote-reply":      pb.MsgVoteResp,
	"append":          pb.MsgApp,
	"append-reply":    pb.MsgAppResp,
	"heartbeat":       pb.MsgHeartbeat,
	"heartbeat-reply": pb.MsgHeartbeatResp,
	"timeout-now":     pb.MsgTimeoutNow,
}

// What a leader sends by itself is flow, in which the two differ; the others are decisions.
var decisions = map[pb.MessageType]string{
	pb.MsgPreVote:       "prevote",
	pb.MsgPreVoteResp:   "prevote-reply",
	pb.MsgVote:          "vote",
	pb.MsgVoteResp:      "vote-reply",
	pb.MsgAppResp:       "append-reply",
	pb.MsgHeartbeatResp: "heartbeat-reply",
	pb.MsgTimeoutNow:    "timeout-now",
}

const transfer = "CampaignTransfer"

// A message is KIND FROM TERM INDEX LOG_TERM COMMIT REJECT FORCE HINT ROUND ENTRIES.
func parseMessage(to uint64, words []string) pb.Message {
	m := pb.Message{
		Type:       kinds[words[0]],
		To:         to,
		From:       number(words[1]),
		Term:       number(words[2]),
		Index:      number(words[3]),
		LogTerm:    number(words[4]),
		Commit:     number(words[5]),
		Reject:     words[6] == "1",
		RejectHint: number(words[8]),
		Entries:    parseEntries(number(words[3]), words[10]),
	}
	if words[7] == "1" {
		m.Context = []byte(transfer)
	}
	if m.Type == pb.MsgHeartbeatResp && words[9] != "0" {
		m.Context = []byte(words[9])
	}
	return m
}

// An offer of a snapshot is FROM TERM INDEX INDEX_TERM CONFIG.
func parseSnapshot(to uint64, words []string) pb.Message {
	return pb.Message{
		Type: pb.MsgSnap,
		To:   to,
		From: number(words[0]),
		Term: number(words[1]),
		Snapshot: pb.Snapshot{Metadata: pb.SnapshotMetadata{
			Index:     number(words[2]),
			Term:      number(words[3]),
			ConfState: parseConfig(words[4]),
		}},
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A decision is KIND/TO/TERM/INDEX/LOG_TERM/REJECT/FORCE/HINT.
func formatMessages(messages []pb.Message) string {
	var words []string

	for _, m := range messages {
		kind, ok := decisions[m.Type]
		if !ok {
			continue
		}
		words = append(words, fmt.Sprintf("%s/%d/%d/%d/%d/%d/%d/%d", kind, m.To, m.Term, m.Index,
			m.LogTerm, bit(m.Reject), bit(string(m.Context) == transfer), m.RejectHint))
	}
	return join(words)
}

var roles = map[raft.StateType]string{
	raft.StateFollower:     "follower",
	raft.StatePreCandidate: "precandidate",
	raft.StateCandidate:    "candidate",
	raft.StateLeader:       "leader",
}
