"""The arithmetic of the tables."""
import unittest

from harness import report


def result(**peers):
    rounds = {name: [{"cpu_us": cost, "errors": 0} for cost in costs]
              for name, costs in peers.items()}
    return {"title": "t", "figure": "cpu_us", "peers": rounds}


class Report(unittest.TestCase):
    def test_the_cheapest_peer_is_never_pointsman(self):
        self.assertEqual("nginx", report.cheapest(
            result(Pointsman=[1, 1, 1], HAProxy=[9, 2, 9], nginx=[5, 6, 7])))
        self.assertIsNone(report.cheapest(result(Pointsman=[1])))

    def test_a_ratio_is_the_median_of_the_rounds_own_ratios(self):
        measured = result(Pointsman=[10, 40, 30], nginx=[10, 20, 10])
        self.assertEqual(2.0, report.ratio(measured, "Pointsman"))
        self.assertEqual(1.0, report.ratio(measured, "nginx"))

    def test_a_round_that_failed_is_left_out_of_the_ratio_and_makes_the_run_fail(self):
        measured = result(Pointsman=[10, 40], nginx=[10, 20])
        measured["peers"]["nginx"][1] = {"failed": "ended with 1"}
        self.assertEqual(1.0, report.ratio(measured, "Pointsman"))
        self.assertTrue(report.failed({"keepalive": measured}))

    def test_errors_make_the_run_fail(self):
        measured = result(Pointsman=[10], nginx=[10])
        self.assertFalse(report.failed({"keepalive": measured}))
        measured["peers"]["Pointsman"][0]["errors"] = 1
        self.assertTrue(report.failed({"keepalive": measured}))

    def test_the_table_begins_with_the_cheapest_row(self):
        lines = report.tables({"keepalive": result(nginx=[20, 22], HAProxy=[10, 12])}).splitlines()
        rows = [line for line in lines if line.startswith("| ")]
        self.assertTrue(rows[1].startswith("| HAProxy | 11.0 | 10.0 |"), rows)
        self.assertTrue(rows[2].startswith("| nginx | 21.0 | 20.0 |"), rows)


if __name__ == "__main__":
    unittest.main()
