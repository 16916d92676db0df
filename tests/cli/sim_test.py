#!/usr/bin/env python3
"""`distkv sim`, and a campaign of it: what it prints, and what it does with runs that do not end well.

usage: sim_test.py BINARY
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
from server import end_after, expect, temporary_folder, wait_for  # noqa: E402

BINARY = sys.argv[1]
CAMPAIGN = os.path.join(HERE, "..", "..", "scripts", "sim-campaign")
BROKEN = ["--ignore-sync", ".log", "--rate", "300", "--clients", "8"]  # a log that is never synced: most seeds fail
FOREVER = ["--minutes", "1440", "--nodes", "3"]


def run(*words):
    done = subprocess.run([BINARY, "sim", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=100)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def fine(*words):
    code, out, err = run(*words)
    expect((code, err), (0, ""), "sim %s: %s" % (" ".join(words), out))
    return out


def broken_seed(*words):
    """The first seed that goes wrong: what a seed draws may change with the simulator."""
    out = run("--seeds", "1..20", *words, *BROKEN)[1]
    return re.search(r"^seed (\d+): VIOLATION", out, flags=re.M).group(1)


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


def without_times(out):
    return re.sub(r"[0-9.]+ s(econds, [0-9]+ seeds/hour)?$", "", out, flags=re.M)


def start(*words):
    return subprocess.Popen([BINARY, "sim", *words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def children(parent):
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(name))
    return sorted(found)


def replayed(command, *more):
    """What such a command says, as an object."""
    words = command.split()
    expect(words[:2], ["distkv", "sim"], command)
    return objects(run(*words[2:], "--json", *more)[1])[0]


def lines_are_in_order_of_seeds():
    words = ["--seeds", "1..12", "--minutes", "0.02..0.4", "--nodes", "1..3", "--marks", "count"]
    alone = fine(*words)
    expect([int(s) for s in re.findall(r"^seed (\d+): fine; ", alone, flags=re.M)], list(range(1, 13)), "the seeds")
    expect([int(n) for n in re.findall(r"; (\d) nodes", alone)], [2, 3, 1] * 4, "nodes in turn")
    expect(without_times(fine(*words, "--jobs", "5")), without_times(alone), "five at a time")
    expect("\nmark KILLED " in alone, True, "marks")
    expect("\ntotal: 12 seeds, " in alone, True, "the sum")


def an_object_says_what_the_line_says():
    words = ["--seeds", "3..6", "--minutes", "0.02..0.4", "--nodes", "1..3"]
    lines = fine(*words).splitlines()
    told = objects(fine(*words, "--json", "--jobs", "2"))
    expect(len(told), 4, "an object a seed, and nothing else")
    for line, o in zip(lines, told):
        expect((o["seed"], o["verdict"], "text" in o), (int(line.split()[1][:-1]), "fine", False), line)
        for figure in ("%d operations (%d ok, %d failed, %d unknown)" % (o["issued"], o["ok"], o["failed"], o["unknown"]),
                       "%d nodes, %.2f minutes; %s, " % (o["nodes"], o["ms"] / 60000, o["workload"]),
                       "trace %s;" % o["trace"]):
            expect(figure in line, True, "%s in %s" % (figure, line))
        expect(o["simulated_ms"] >= o["ms"] and sum(o["marks"].values()) > 0, True, "figures: %r" % o)
        again = replayed(o["replay"])
        for each in (o, again):
            del each["seconds"]
        expect(again, o, "the replay of a seed of ranges")


def a_violation_is_told_and_replays():
    seed = broken_seed("--minutes", "0.5")
    code, out, err = run("--seed", seed, "--minutes", "0.5", *BROKEN)
    expect((code, err, out.startswith("seed %s: VIOLATION; 1 nodes, 0.50 minutes; " % seed)), (1, "", True), out)
    text, replay = out.splitlines()[1], out.splitlines()[-1]
    expect(replay.startswith("replay: distkv sim --seed "), True, out)
    o = replayed(replay[len("replay: "):])
    expect((o["verdict"], o["text"].splitlines()[0], "trace %s;" % o["trace"] in out), ("violation", text, True), "the replay")


def a_smaller_run_goes_wrong_in_the_same_way():
    size = ["--minutes", "1", "--nodes", "3"]
    words = ["--seed", broken_seed(*size), *size, *BROKEN, "--shrink"]
    code, out, _ = run(*words, "--json")
    o, = objects(out)
    s = o["smaller"]
    expect((code, s["finished"], s["attempts"] > 5), (1, True, True), "a search: %s" % out)
    expect(s["before"]["faults"], o["faults"], "what there was to leave out")
    for what in ("nodes", "ms", "faults", "clients"): # not operations: a run that goes wrong early has few
        expect(s["after"][what] <= s["before"][what], True, "%s: %r" % (what, s))
    expect(s["after"]["faults"] < s["before"]["faults"] and s["after"]["ms"] < s["before"]["ms"], True, "%r" % s)
    again = replayed(s["replay"])
    expect((again["verdict"], again["nodes"], again["ms"], again["issued"]),
           ("violation", s["after"]["nodes"], s["after"]["ms"], s["after"]["ops"]), "the smaller run")
    def mask(text):
        return re.sub(r"\w*\d\w*", "#", text.splitlines()[0])

    expect(mask(again["text"]), mask(o["text"]), "the kind of the violation")
    out = run(*words)[1]
    expect("\nsmaller: %s\nthat is %d of 3 nodes, " % (s["replay"], s["after"]["nodes"]) in out, True, out)
    expect("smaller" in run("--seed", "1", "--minutes", "0.1", "--shrink")[1], False, "nothing to shrink")


def a_run_without_end_is_ended():
    for jobs in ("1", "2"):
        code, out, err = run("--seeds", "1..2", *FOREVER, "--seconds-max", "1", "--jobs", jobs)
        expect((code, err, out.count("VIOLATION")), (1, "", 2), out)
        at = [float(s) for s in re.findall(
            r"^did not end within 1 s of real time \(at (\d+\.\d{3}) simulated seconds\)\nreplay: ", out, flags=re.M)]
        expect(len(at) == 2 and min(at) > 0, True, out)
    code, out, _ = run("--seed", "1", *FOREVER, "--seconds-max", "1", "--shrink", "--shrink-seconds", "1", "--json")
    expect((code, objects(out)[0]["smaller"]["finished"]), (1, False), "no time to shrink in")


def the_death_of_a_process_is_a_violation():
    sim = start("--seeds", "1..2", *FOREVER, "--jobs", "2", "--seconds-max", "2")
    pids = wait_for("two processes", lambda: len(children(sim.pid)) == 2 and children(sim.pid), 20)
    os.kill(pids[0], signal.SIGABRT)
    out, err = (text.decode() for text in sim.communicate(timeout=60))
    expect((sim.returncode, err), (1, ""), out)
    expect("the process ended by signal 6 (SIGABRT)" in out, True, out)
    expect(out.count("did not end within 2 s"), 1, "the other one: " + out)


def an_interrupt_ends_all_processes():
    for number in (signal.SIGINT, signal.SIGTERM):
        sim = start("--seeds", "1..50", *FOREVER, "--jobs", "3")
        pids = wait_for("three processes", lambda: len(children(sim.pid)) == 3 and children(sim.pid), 20)
        for pid in [*pids, sim.pid]:  # as a terminal does
            os.kill(pid, number)
        out, _ = sim.communicate(timeout=20)
        expect((sim.returncode, out), (-number, b""), "it ends by the signal, and no seed is blamed")
        expect([pid for pid in pids if os.path.exists("/proc/%d" % pid)], [], "its processes")


def wrong_words():
    for words, says in (
            (["--nodes", "10"], "--nodes 10: it takes a number, or a range like 3..7, from 1 to 9"),
            (["--nodes", "0"], "from 1 to 9"), (["--nodes", "5..3"], "a range like 3..7"), (["--nodes", "3..99"], "from 1 to 9"),
            (["--minutes", "0"], "more than 0 and at most 1440"), (["--minutes", "2..1441"], "at most 1440"),
            (["--minutes", "3..2"], "a range like 2..10"), (["--minutes", ".."], "a range like 2..10"),
            (["--seed", "1..2"], "--seed 1..2: it takes a number"), (["--seeds", "9..1"], "numbers like 1..100"),
            (["--jobs", "65"], "from 1 to 64"), (["--clients", "33"], "from 1 to 32"), (["--rate", "-1"], "from 1 to 100000"),
            (["--seconds-max", "0"], "from 1 to 1000000"), (["--faults", "rain"], "or with commas: power "),
            (["--workload", "rain"], "one of: registers "), (["--only", "4096"], "below 4096"), (["--marks", "some"], "all or count"),
            (["--json", "yes"], "yes: there is no such option"), (["--ops"], "--ops without a value: it takes a number"),
            (["--seeds", "1..2", "--trace", "t"], "of one seed")):
        code, out, err = run(*words)
        expect((code, out, says in err), (2, "", True), "%s: %r" % (" ".join(words), err))
    code, out, err = run("--trace", "/nowhere/at/all")
    expect((code, out, "/nowhere/at/all cannot be written" in err), (2, "", True), err)
    code, out, err = run("--minutes", "0.01", "--marks", "all")
    expect((code, "never seen: a killed process whose page cache stays (KILLED)" in out, err), (1, True, ""), out)


def campaign(folder, seeds, *words):
    done = subprocess.run([CAMPAIGN, BINARY, folder, str(seeds), *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100)
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode()


def a_campaign_goes_on_where_it_stopped(folder):
    short = ["--minutes", "0.01..0.1"]
    code, first, err = campaign(folder, 20, *short)
    expect((code, err, first[-1].startswith("total: 20 seeds, ")), (1, "", True), "a campaign: %r" % first)
    expect("never seen: CUT_UNSYNCED_TABLE" in first, True, "marks of so short a campaign: %r" % first)
    expect(all(line.startswith("never seen: ") for line in first[:-1]), True, "nothing else: %r" % first)
    code, second, _ = campaign(folder, 60, *short)
    expect(second[-1].startswith("total: 60 seeds, "), True, "more of it: %r" % second)
    expect(sorted(os.listdir(folder + "/parts")), ["20", "60"], "its parts")
    told = objects(run("--seeds", "1..60", "--nodes", "3..7", *short, "--json", "--jobs", "2")[1])
    figures = [float(n) for n in re.findall(r"[0-9.]+", second[-1])]
    expect((figures[3], figures[4]), (sum(o["issued"] for o in told), sum(o["faults"] for o in told)), "the sums")
    marks = {name for name in told[0]["marks"] if sum(o["marks"][name] for o in told) == 0}
    expect({line.split()[-1] for line in second[:-1]}, marks, "the marks")
    code, out, err = campaign(folder, 60, "--minutes", "0.2")
    expect((code, out, "other options" in err), (2, [], True), "another campaign in the same place")
    code, out, _ = campaign(folder + "-broken", 5, *short, *BROKEN)
    expect((code, len([line for line in out if line.startswith("replay: ")])),
           (1, int(re.search(r"(\d+) violations", out[-1]).group(1))), "violations: %r" % out)


def main():
    end_after(170)
    folder = temporary_folder("distkv-sim-")
    lines_are_in_order_of_seeds()
    an_object_says_what_the_line_says()
    a_violation_is_told_and_replays()
    a_smaller_run_goes_wrong_in_the_same_way()
    a_run_without_end_is_ended()
    the_death_of_a_process_is_a_violation()
    an_interrupt_ends_all_processes()
    wrong_words()
    a_campaign_goes_on_where_it_stopped(folder + "/campaign")
    shutil.rmtree(folder)
    print("9 passed, 0 failed")


if __name__ == "__main__":
    main()
