#!/usr/bin/env python3
"""The verdict on a row is able to fail: each fault of a history that it must see, put into one that has none."""
import unittest

import verdict

S = 1000000000


def op(client, verb, key, value, call, back, result="ok"):
    return {"client": client, "op": verb, "key": key, "value": value, "call_ns": call,
            "return_ns": back, "result": result}


class Lost(unittest.TestCase):
    def test_an_acknowledged_write_that_the_last_look_finds_is_not_lost(self):
        ops = [op(100, "put", "r:own:1", "1", 10, 20), op(verdict.FINAL, "get", "r:own:1", "1", 30, 40)]
        self.assertEqual(verdict.count_lost(ops), 0)

    def test_one_that_it_does_not_find_is_lost(self):
        ops = [op(100, "put", "r:own:1", "1", 10, 20), op(verdict.FINAL, "get", "r:own:1", None, 30, 40)]
        self.assertEqual(verdict.count_lost(ops), 1)

    def test_one_that_nobody_looked_for_is_lost(self):
        self.assertEqual(verdict.count_lost([op(100, "put", "r:own:1", "1", 10, 20)]), 1)

    def test_one_that_was_not_acknowledged_cannot_be_lost(self):
        ops = [op(100, "put", "r:own:1", "1", 10, 20, "unknown"),
               op(verdict.FINAL, "get", "r:own:1", None, 30, 40)]
        self.assertEqual(verdict.count_lost(ops), 0)


class Stale(unittest.TestCase):
    WRITES = [op(100, "put", "r:1", "a", 10, 20), op(100, "put", "r:1", "b", 30, 40)]

    def count(self, *reads):
        return verdict.count_stale(self.WRITES + list(reads))

    def test_a_read_of_what_was_overwritten_is_stale(self):
        self.assertEqual(self.count(op(103, "get", "r:1", "a", 41, 50)), 1)

    def test_a_read_of_nothing_after_a_write_is_stale(self):
        self.assertEqual(self.count(op(103, "get", "r:1", None, 21, 25)), 1)

    def test_a_read_of_what_nobody_wrote_is_counted(self):
        self.assertEqual(self.count(op(103, "get", "r:1", "z", 41, 50)), 1)

    def test_a_read_that_overlaps_the_write_may_see_either(self):
        self.assertEqual(self.count(op(103, "get", "r:1", "a", 35, 50),
                                    op(104, "get", "r:1", "b", 35, 50)), 0)

    def test_what_a_write_of_unknown_outcome_wrote_may_come_late(self):
        late = op(101, "put", "r:1", "c", 5, 6, "unknown")
        self.assertEqual(self.count(late, op(103, "get", "r:1", "c", 41, 50)), 0)


class Gaps(unittest.TestCase):
    def line(self, *times, client=100, **options):
        return verdict.Timeline([op(client, "put", "r:1", str(t), int(t * S) - 1000000, int(t * S),
                                    **options) for t in times])

    def test_a_gap_is_from_success_to_success(self):
        line = self.line(1.0, 1.9, 4.0, 4.5)
        self.assertAlmostEqual(line.gap("put", [0], 2 * S, 5 * S), 2.1)

    def test_a_gap_that_nothing_ends_lasts_to_the_end(self):
        self.assertAlmostEqual(self.line(1.0, 1.9).gap("put", [0], 2 * S, 5 * S), 3.1)

    def test_without_any_success_all_is_a_gap(self):
        self.assertAlmostEqual(self.line().gap("put", [0], 2 * S, 5 * S), 3.0)

    def test_a_failure_does_not_end_a_gap(self):
        line = self.line(1.9, 3.0, result="unknown")
        self.assertAlmostEqual(line.gap("put", [0], 2 * S, 5 * S), 3.0)

    def test_the_worst_address_counts_and_anywhere_is_better(self):
        ops = [op(100, "put", "r:1", "a", 0, 2 * S), op(200, "put", "r:1", "b", 0, 4 * S)]
        line = verdict.Timeline(ops)
        self.assertAlmostEqual(line.worst_gap("put", [0, 1], 1 * S, 5 * S), 3.0)
        self.assertAlmostEqual(line.gap("put", [0, 1], 1 * S, 5 * S), 2.0)

    def test_the_99th_percentile_is_of_what_succeeded_within(self):
        line = self.line(*(1 + n / 1000 for n in range(100)))
        self.assertAlmostEqual(line.p99("put", [0], 1 * S, 2 * S), 1.0)
        self.assertIsNone(line.p99("put", [0], 2 * S, 3 * S))


if __name__ == "__main__":
    unittest.main()
