#!/usr/bin/env python3
"""The failover table: what clients of a cluster see while a node of it is killed, stopped, cut off or full.

    failover.py BINARY TOOLS FOLDER [ROW...]

BINARY is distkv, TOOLS has `load` and `stall.so`, FOLDER takes data, logs, histories, table.md and
table.json.  ROW is a part of a row's name; without any, all of them are run, in about six minutes.

Exit code: 0; 1 when a target is missed, an acknowledged write lost, or an answer wrong; 2 when a row could not be
run to its end.
"""
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import traceback

import lab as labs
import verdict

BEFORE_S, FAULT_S, AFTER_S = 1.5, 4.0, 2.5
TYPED_LATE_MS = 250  # an error may come so much after its deadline
# A row that is late while the host of this machine took more than such a share of its processors is played again.
STOLEN_MAX = 0.01
PLAYS_MAX = 5


class Scene:
    """Who plays what in a row."""

    def __init__(self, lab):
        self.lab = lab
        self.leader = lab.leader()
        self.followers = [n for n in lab.nodes if n is not self.leader]

    def all_but(self, *nodes):
        return [n for n in self.lab.nodes if n not in nodes]


class Row:
    """One fault.  `act(scene)` does it, and gives the nodes whose clients are to be served all the same;
    `undo` (None: all is healed, and who does not run is started) ends it."""

    def __init__(self, name, target_s, act, undo=None, **options):
        self.name = name
        self.target_s = target_s
        self.act = act
        self.undo = undo
        self.fault_s = options.get("fault_s", FAULT_S)
        self.roam = options.get("roam", False)  # clients of a node that ends go to the next one
        self.no_error = options.get("no_error", False)  # not one request may fail
        self.no_quorum = options.get("no_quorum", False)  # none can succeed; each has to fail typed, in time


# -------------------------------------------------------------------- faults

def of(who, what):
    """A fault of the leader or of a follower; the others go on."""
    def act(scene):
        victim = scene.leader if who == "leader" else scene.followers[0]
        what(victim, scene)
        return scene.all_but(victim)
    return act


def kill(victim, _):
    victim.kill()


def pause(victim, _):
    victim.pause()


def blackhole(victim, scene):
    victim.cut(scene.all_but(victim))


def only_hears(victim, scene):
    victim.cut(scene.all_but(victim), hears=True)


def only_is_heard(victim, scene):
    victim.cut(scene.all_but(victim), is_heard=True)


def fill(victim, _):
    victim.fill()


def stall(victim, _):
    victim.stall()


def cut_leader_from_one(scene):
    scene.leader.cut(scene.followers[:1])
    return scene.lab.nodes


def cut_followers(scene):
    scene.followers[0].cut(scene.followers[1:2])
    return scene.lab.nodes


def leave_a_hub(scene):
    """Everybody reaches one node only, which is not the leader."""
    hub = scene.followers[0]
    for n in scene.all_but(hub):
        n.cut(scene.all_but(hub, n))
    return [hub]


def kill_leader_and_one(scene):
    scene.leader.kill()
    scene.followers[0].kill()
    return scene.followers[1:]


def kill_two_followers(scene):
    scene.followers[0].kill()
    scene.followers[1].kill()
    return scene.all_but(*scene.followers[:2])


def kill_three(scene):
    for n in (scene.leader, *scene.followers[:2]):
        n.kill()
    return scene.followers[2:]


def stop_leader(scene):
    scene.leader.terminate()
    return scene.followers


def restart_each(scene):
    for n in list(scene.lab.nodes):
        n.terminate()
        n.start()
        scene.lab.await_calm()
    return scene.lab.nodes


def replace_follower(scene):
    """Another node takes over all that it has; then it goes."""
    old = scene.followers[-1]
    scene.lab.add()
    scene.lab.ask("DRAIN", old.name)
    labs.wait_for("%s has handed over all its copies" % old.name,
                  lambda: not any(m["node"] == old.name for t in scene.lab.ask("TABLETS") or [{
                      "members": [{"node": old.name}]}] for m in t["members"]), 60)
    old.terminate()
    scene.lab.ask("REMOVE", old.name)
    scene.lab.forget(old)
    scene.lab.await_calm()
    return scene.lab.nodes


def nothing(_):
    pass


THREE = [Row("%s, %s" % (name, who), target_s, of(who, what))
         for name, what, target_s in [("kill -9", kill, 1.0), ("SIGSTOP", pause, 1.0),
                                      ("blackhole", blackhole, 1.0),
                                      ("receives only", only_hears, 2.0),
                                      ("sends only", only_is_heard, 2.0),
                                      ("full disk", fill, 2.0), ("stalled disk", stall, 2.0)]
         for who in ("leader", "follower")]
THREE += [
    Row("partial: leader and a follower", 3.0, cut_leader_from_one),
    Row("partial: two followers", 3.0, cut_followers),
    Row("planned stop, leader", 0.05, stop_leader, fault_s=2.0, roam=True, no_error=True),
    Row("rolling restart", None, restart_each, nothing, fault_s=0.0, roam=True, no_error=True),
    Row("replacement", None, replace_follower, nothing, fault_s=0.0, roam=True, no_error=True),
]
FIVE = [
    Row("five: leader and another killed", 1.0, kill_leader_and_one),
    Row("five: two followers killed", 1.0, kill_two_followers),
    Row("five: three killed", None, kill_three, no_quorum=True),
    Row("five: all but a hub cut off", 3.0, leave_a_hub),
]


def heal(scene):
    for n in scene.lab.nodes:
        n.heal()
    for n in scene.lab.nodes:
        if not n.is_up():
            n.start()


# -------------------------------------------------------------------- a row

class Marks:
    """When a row's parts began, in nanoseconds; and what share of the processors others had meanwhile."""
    begin = fault = healed = end = 0
    stolen = 0.0


class Theft:
    """Time in which this machine's processors were wanted, and its host gave them to other machines: nothing of
    ours ran then, neither nodes nor clients."""

    def __init__(self):
        self.begin = self._read()

    @staticmethod
    def _read():
        with open("/proc/stat") as f:
            spent = [int(n) for n in f.readline().split()[1:9]]
        return sum(spent), spent[7]

    def share(self):
        passed, stolen = (now - then for now, then in zip(self._read(), self.begin))
        return stolen / passed if passed else 0.0


def perform(row, scene, folder, prefix):
    """Load, fault, healing; the marks, and the nodes that had to serve, as places in load's list."""
    nodes = list(scene.lab.nodes)
    command = [scene.lab.load, folder, prefix, *(["--roam"] if row.roam else []),
               *[n.door for n in nodes]]
    load = subprocess.Popen(command)
    marks = Marks()
    theft = Theft()
    try:
        marks.begin = time.monotonic_ns()
        time.sleep(BEFORE_S)
        marks.fault = time.monotonic_ns()
        witnesses = row.act(scene)
        time.sleep(row.fault_s)
        marks.healed = time.monotonic_ns()
        (row.undo or heal)(scene)
        time.sleep(AFTER_S)
        marks.end = time.monotonic_ns()
        marks.stolen = theft.share()
    finally:
        load.terminate()
        load.wait()
    return marks, [at for at, n in enumerate(nodes) if n in witnesses]


def last_look(scene, ops):
    """Registers from every node, the other keys from one."""
    registers, own = verdict.keys_of(ops)
    ops += verdict.look(scene.lab.leader().address, labs.PORT, own, verdict.FINAL)
    for n in scene.lab.nodes:
        ops += verdict.look(n.address, labs.PORT, registers,
                            verdict.FINAL * 2 * n.number)


def measure(row, marks, witnesses, ops, failures):
    """All figures of a row but those of right and wrong."""
    line = verdict.Timeline(ops)
    everybody = sorted({verdict.address_of(o["client"]) for o in ops if o["client"] < verdict.FINAL})
    rest = [a for a in everybody if a not in witnesses]
    figures = {"row": row.name, "target_s": row.target_s, "stolen": marks.stolen}
    windows = {"before": (marks.begin, marks.fault), "during": (marks.fault, marks.healed),
               "after": (marks.healed, marks.end)}
    for name, op in (("write", "put"), ("read", "get")):
        span = marks.fault, marks.end
        figures[name + "_gap_before_s"] = line.worst_gap(op, witnesses, *windows["before"])
        figures[name + "_gap_s"] = line.worst_gap(op, witnesses, *span)
        figures[name + "_gap_anywhere_s"] = line.gap(op, everybody, *span)
        figures[name + "_gap_victim_s"] = line.worst_gap(op, rest, *span) if rest else None
        for window, bounds in windows.items():
            figures["%s_p99_%s_ms" % (name, window)] = line.p99(op, witnesses, *bounds)
    ours = [f for f in failures if verdict.address_of(f[1]) in witnesses or row.roam]
    figures["operations"] = sum(o["client"] < verdict.FINAL for o in ops)
    figures["failed"] = len(ours)
    figures["hung"] = sum(said == "no answer" for *_, said in ours)
    figures["said"] = count_by(said for *_, said in ours)
    figures["said_to_victims"] = count_by(f[3] for f in failures if f not in set(ours))
    failed_took = [o["return_ns"] - o["call_ns"] for o in ops if o["result"] != "ok"
                   and "return_ns" in o and verdict.address_of(o["client"]) in witnesses]
    figures["failed_latest_ms"] = max(failed_took, default=0) / 1e6
    return figures


def count_by(words):
    counts = {}
    for w in words:
        counts[w] = counts.get(w, 0) + 1
    return counts


LATE_OF = {"write": "write gap", "read": "read gap"}
LATE = set(LATE_OF.values())


def misses(row, f):
    """What is not as it should be."""
    wrong = []
    if row.target_s is not None:
        for name in ("write", "read"):
            if f[name + "_gap_s"] > row.target_s:
                wrong.append(LATE_OF[name])
    if f["lost"]:
        wrong.append("lost")
    if f["stale"]:
        wrong.append("stale")
    if f["checker"] != "ok":
        wrong.append("checker")
    if f["hung"]:
        wrong.append("hung")
    if row.no_error and f["failed"]:
        wrong.append("failed requests")
    if row.no_quorum and f["failed_latest_ms"] > labs.DEADLINE_MS + TYPED_LATE_MS:
        wrong.append("late errors")
    if row.no_quorum and not f["failed"]:
        wrong.append("served without a quorum")
    return wrong


def is_disturbed(f):
    """It was late and nothing else, and the machine was not ours alone."""
    return bool(f["missed"]) and set(f["missed"]) <= LATE and f["stolen"] > STOLEN_MAX


def play(row, lab, number):
    folder = os.path.join(lab.folder, "row%02d" % number)
    os.mkdir(folder)
    scene = Scene(lab)
    marks, witnesses = perform(row, scene, folder, "r%d" % number)
    lab.await_calm()
    ops = verdict.read(folder + "/history")
    last_look(scene, ops)
    with open(folder + "/history", "w") as out:
        out.writelines(json.dumps(o) + "\n" for o in ops)
    f = measure(row, marks, witnesses, ops, verdict.read_failures(folder + "/failures"))
    f["leader"] = scene.leader.name
    f["marks_ns"] = [marks.begin, marks.fault, marks.healed, marks.end]
    f["fault_at"] = time.time() - (time.monotonic_ns() - marks.fault) / 1e9
    f["lost"] = verdict.count_lost(ops)
    f["stale"] = verdict.count_stale(ops)
    f["checker"] = verdict.judge(lab.binary, folder + "/history")
    f["load_average"] = os.getloadavg()[0]
    f["missed"] = misses(row, f)
    return f


# -------------------------------------------------------------------- the table

HEAD = ["fault", "target", "without a write", "without a read", "before the fault, write / read",
        "anywhere, write / read", "victim's own, write / read", "failed", "lost", "stale", "linearizable",
        "write p99: before, during, after", "read p99", "stolen", "missed"]


def seconds(s):
    if s is None:
        return "–"
    return "%.0f ms" % (s * 1000) if s < 1 else "%.2f s" % s


def milliseconds(f, name):
    return ", ".join("–" if ms is None else "%.1f" % ms
                     for ms in (f["%s_p99_%s_ms" % (name, w)] for w in ("before", "during", "after")))


def cells(f):
    return [f["row"], seconds(f["target_s"]), seconds(f["write_gap_s"]), seconds(f["read_gap_s"]),
            "%s / %s" % (seconds(f["write_gap_before_s"]), seconds(f["read_gap_before_s"])),
            "%s / %s" % (seconds(f["write_gap_anywhere_s"]), seconds(f["read_gap_anywhere_s"])),
            "%s / %s" % (seconds(f["write_gap_victim_s"]), seconds(f["read_gap_victim_s"])),
            "%d of %d" % (f["failed"], f["operations"]), str(f["lost"]), str(f["stale"]),
            "yes" if f["checker"] == "ok" else "no", milliseconds(f, "write") + " ms",
            milliseconds(f, "read") + " ms", "%.1f %%" % (100 * f["stolen"]), verdict_of(f)]


def verdict_of(f):
    said = ", ".join(f["missed"]) or "–"
    return said + "; disturbed, played again" if f["again"] else said


def write_down(results, folder):
    lines = [HEAD, ["---"] * len(HEAD)] + [cells(f) for f in results]
    with open(folder + "/table.md", "w") as out:
        out.write("%s, %d cores, Linux %s, %s\n\n" % (platform.machine(), os.cpu_count(),
                                                     platform.release().split("-")[0],
                                                     time.strftime("%Y-%m-%d")))
        out.writelines("| %s |\n" % " | ".join(line) for line in lines)
    with open(folder + "/table.json", "w") as out:
        json.dump(results, out, indent=1)


class Table:
    """Rows that are played one after the other, each on a cluster that is well."""

    def __init__(self, binary, tools, folder, wanted):
        self.binary, self.tools, self.folder, self.wanted = binary, tools, folder, wanted
        self.results = []
        self.broken = []
        self.number = 0
        self.lab = None

    def play_all(self, count, rows):
        for row in rows:
            if self.wanted and not any(w in row.name for w in self.wanted):
                continue
            try:
                self.play_one(count, row)
            except Exception:  # the next row has a new cluster
                traceback.print_exc()
                self.broken.append(row.name)
                self.end()
        self.end()

    def play_one(self, count, row):
        """Until it is on time, or nobody but us can be the cause; all of its plays are in the table."""
        for nth in range(PLAYS_MAX):
            self.number += 1
            if self.lab is None:
                self.form(count)
            f = play(row, self.lab, self.number)
            f["again"] = is_disturbed(f) and nth + 1 < PLAYS_MAX
            self.results.append(f)
            write_down(self.results, self.folder)
            print("| %s |" % " | ".join(cells(f)), flush=True)
            if not f["again"]:
                return

    def form(self, count):
        """A cluster of so many nodes, all of which have database 0."""
        self.lab = labs.Lab(os.path.join(self.folder, "from%02d" % self.number), self.binary,
                            self.tools)
        for _ in range(count):
            self.lab.add()
        self.lab.await_nodes(count)
        self.lab.await_calm(60)
        if count > 3:
            self.lab.ask("KEYSPACE-ALTER", "0", str(count))
            self.lab.await_replicas(count)

    def end(self):
        if self.lab is not None:
            self.lab.close()
        self.lab = None


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    labs.enter()
    binary, tools, folder = map(os.path.abspath, sys.argv[1:4])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    table = Table(binary, tools, folder, sys.argv[4:])
    print("| %s |\n|%s" % (" | ".join(HEAD), " --- |" * len(HEAD)), flush=True)
    table.play_all(3, THREE)
    table.play_all(5, FIVE)
    if table.broken:
        print("not run to the end: %s" % "; ".join(table.broken))
        sys.exit(2)
    sys.exit(1 if any(f["missed"] and not f["again"] for f in table.results) else 0)


if __name__ == "__main__":
    main()
