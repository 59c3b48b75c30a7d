"""Tests of the parser that decides whether a run has passed; run through test_scripts.py.

It must be right before anything that a run says can be believed: most of these hand the parser a
stream with one thing wrong, and want it found.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(ROOT, "scripts")
sys.path.insert(0, SCRIPTS)

import report as reports  # noqa: E402

FIRMWARE_TEXT = b"\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: loading Boot0001\r\n\r\n"
GOOD_BODY = ["TAP version 13", "1..3", '# machine: {"cpu":"toy"}', "# seed: 7", "ok 1 - a/one",
             "ok 2 - a/two # SKIP no such CPU", "ok 3 - b/c/three"]
BLOCK = ["  ---", "  checks: 4", "  notes: |", "    a.c:3: 1 is not 2", "    seed 7", "  ..."]
BAD_BODY = GOOD_BODY[:4] + ["not ok 1 - a/one", *BLOCK] + GOOD_BODY[5:]


def stream(body, counts=(3, 2, 0, 1), before=FIRMWARE_TEXT, line_end="\r\n", **changes):
    """A serial log with right markers around the body, except for what `changes` says."""
    covered = "".join(line + "\n" for line in body).encode()
    end = dict(zip(("plan", "passed", "failed", "skipped"), counts), lines=len(body),
               crc32=f"{zlib.crc32(covered):08x}")
    end.update(changes)
    lines = ['# pagestage begin: {"format":1,"version":"t"}', *body,
             "# pagestage end: " + json.dumps(end)]
    return before + "".join(line + line_end for line in lines).encode()


def judge(serial, status=33):
    return reports.judge(reports.parse(serial), status)


class ReportTests(unittest.TestCase):
    """report.py: what passes, and what never does."""

    def refused(self, serial, words, status=33):
        verdict = judge(serial, status)
        self.assertFalse(verdict.passed)
        self.assertIn(words, str(verdict))

    def test_a_whole_stream_with_status_33_passes(self):
        verdict = judge(stream(GOOD_BODY))
        self.assertTrue(verdict.passed, verdict)
        self.assertEqual(str(verdict), "PASSED (2 passed, 0 failed, 1 skipped)")

    def test_line_ends_without_carriage_return_have_the_same_sum(self):
        self.assertTrue(judge(stream(GOOD_BODY, line_end="\n")).passed)

    def test_status_0_is_never_success(self):
        self.refused(stream(GOOD_BODY), "status is 0", 0)

    def test_other_statuses_are_never_success(self):
        for status in (None, 1, 35, 124, 137, -9):
            self.refused(stream(GOOD_BODY), f"status is {status}", status)

    def test_an_empty_line_and_noise_are_no_report(self):
        self.refused(b"", "no report")
        self.refused(FIRMWARE_TEXT, "no report")

    def test_a_failed_test_is_named(self):
        serial = stream(BAD_BODY, (3, 1, 1, 1))
        self.refused(serial, "1 of 3 tests failed: a/one", 35)
        self.assertTrue(reports.parse(serial).complete)
        self.assertEqual(judge(serial, 35).faults, [])

    def test_status_33_with_a_failed_test_is_a_fault(self):
        self.refused(stream(BAD_BODY, (3, 1, 1, 1)), "status is 33, not 35")

    def test_a_changed_byte_breaks_the_sum(self):
        self.refused(stream(GOOD_BODY).replace(b"# seed: 7", b"# seed: 8"), "crc32")

    def test_a_lost_line_is_found(self):
        self.refused(stream(GOOD_BODY).replace(b"# seed: 7\r\n", b""), "lines 7")

    def test_every_count_of_the_end_marker_is_checked(self):
        for key in ("plan", "passed", "failed", "skipped", "lines"):
            self.refused(stream(GOOD_BODY, **{key: 99}), f"says {key} 99")

    def test_no_end_marker_is_a_failure(self):
        self.refused(stream(GOOD_BODY).split(b"# pagestage end")[0], "stops after b/c/three")

    def test_a_cut_end_marker_is_a_failure(self):
        self.refused(stream(GOOD_BODY)[:-20], "no end marker")

    def test_a_plan_larger_than_the_tests_is_a_failure(self):
        body = ["1..4" if line == "1..3" else line for line in GOOD_BODY]
        self.refused(stream(body, (4, 2, 0, 1)), "the plan says 4 tests, but 3")

    def test_a_plan_smaller_than_the_tests_is_a_failure(self):
        body = ["1..2" if line == "1..3" else line for line in GOOD_BODY]
        self.refused(stream(body, (2, 2, 0, 1)), "the plan says 2 tests, but 3")

    def test_the_plan_comes_once_and_first(self):
        self.refused(stream(GOOD_BODY + ["1..3"]), "the plan comes twice")
        late = [line for line in GOOD_BODY if line != "1..3"] + ["1..3"]
        self.refused(stream(late), "the plan comes after the first test")
        self.refused(stream([line for line in GOOD_BODY if line != "1..3"]), "there is no plan")

    def test_a_wrong_number_is_found(self):
        body = [line.replace("ok 3", "ok 4") for line in GOOD_BODY]
        self.refused(stream(body), "test 4 (b/c/three) comes where test 3 should")

    def test_a_name_twice_is_found(self):
        body = [line.replace("b/c/three", "a/one") for line in GOOD_BODY]
        self.refused(stream(body), "two tests are called a/one")

    def test_bail_out_is_a_failure_inside_and_behind_the_stream(self):
        self.refused(stream(GOOD_BODY + ["Bail out! page fault"]), "Bail out! page fault", 35)
        self.refused(stream(GOOD_BODY) + b"Bail out! late\r\n", "Bail out! late", 33)

    def test_bail_out_inside_a_yaml_block_is_seen(self):
        body = GOOD_BODY[:4] + ["not ok 1 - a/one", "  ---", "Bail out! double fault"]
        self.refused(stream(body), "Bail out! double fault", 35)

    def test_a_machine_that_starts_again_is_found(self):
        half = stream(GOOD_BODY).split(b"ok 3")[0]
        self.refused(half + stream(GOOD_BODY), "begins a second time")
        self.refused(stream(GOOD_BODY) * 2, "begins or ends a second time")

    def test_foreign_text_inside_the_stream_is_found(self):
        body = GOOD_BODY[:5] + ["!!!! X64 Exception Type - 0D !!!!"] + GOOD_BODY[5:]
        self.refused(stream(body), "unknown line")

    def test_many_foreign_lines_are_counted_not_listed(self):
        verdict = judge(stream(GOOD_BODY + ["noise"] * 30))
        self.assertLess(len(verdict.faults), 10)
        self.assertIn("26 more problems", str(verdict))

    def test_no_plan_for_nothing_passes(self):
        self.refused(stream(["TAP version 13", "1..0"], (0, 0, 0, 0)), "not one test has run")

    def test_a_run_of_skips_only_does_not_pass(self):
        body = ["TAP version 13", "1..1", "ok 1 - a/one # SKIP no memory"]
        self.refused(stream(body, (1, 0, 0, 1)), "not one test has run")

    def test_a_skip_without_reason_and_unknown_directives_are_found(self):
        for bad in ("ok 2 - a/two # SKIP", "ok 2 - a/two # TODO later",
                    "not ok 2 - a/two # SKIP x"):
            body = [bad if "SKIP" in line else line for line in GOOD_BODY]
            self.assertFalse(judge(stream(body)).passed, bad)

    def test_broken_json_is_found(self):
        body = [line.replace('"toy"}', '"toy"') for line in GOOD_BODY]
        self.refused(stream(body), "'machine' is not valid JSON")

    def test_another_format_and_unreadable_markers_are_found(self):
        self.refused(stream(GOOD_BODY).replace(b'"format":1', b'"format":2'), "format is 2")
        self.refused(stream(GOOD_BODY).replace(b'{"format":1', b'"format":1'), "not readable")

    def test_a_yaml_block_under_ok_is_found(self):
        body = GOOD_BODY[:5] + BLOCK + GOOD_BODY[5:]
        self.refused(stream(body), "does not stand under a 'not ok'")

    def test_a_refusal_of_the_image_is_told_as_such(self):
        text = FIRMWARE_TEXT + b"Pagestage cannot run here: it has no NX.\r\n"
        self.assertTrue(reports.refused(text))
        self.assertFalse(reports.refused(text[:-1]))
        self.refused(text, "the image cannot run here: it has no NX.")

    def test_facts_are_kept_in_order_with_their_types(self):
        report = reports.parse(stream(GOOD_BODY))
        self.assertEqual(report.facts, [("machine", {"cpu": "toy"}), ("seed", "7")])
        self.assertEqual(report.fact("machine")["cpu"], "toy")
        self.assertIsNone(report.fact("nothing"))

    def test_no_damage_of_one_byte_passes_with_other_lines(self):
        good = stream(GOOD_BODY, before=b"")
        for position in range(len(good)):
            for change in (good[:position] + good[position + 1:],
                           good[:position] + bytes([good[position] ^ 1]) + good[position + 1:],
                           good[:position]):
                # What the sum does not cover: carriage returns and the begin marker's words.
                if judge(change).passed:
                    self.assertEqual(reports.parse(change).lines, GOOD_BODY, (position, change))


class ConversionTests(unittest.TestCase):
    """report.py: TAP for prove, and JUnit."""

    def prove(self, serial, status=33):
        if not shutil.which("prove"):
            self.skipTest("prove is not installed")
        report = reports.parse(serial)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.tap")
            with open(path, "w", encoding="utf-8") as file:
                file.write(reports.to_tap(report, reports.judge(report, status)))
            done = subprocess.run(["prove", "-e", "cat", path], stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout

    def test_prove_accepts_a_good_stream(self):
        status, text = self.prove(stream(GOOD_BODY))
        self.assertEqual(status, 0, text)
        self.assertIn("Tests=3", text)

    def test_prove_refuses_what_the_verdict_refuses(self):
        for serial, status in ((stream(BAD_BODY, (3, 1, 1, 1)), 35), (stream(GOOD_BODY), 0),
                               (stream(GOOD_BODY, crc32="0"), 33), (b"", 33)):
            self.assertNotEqual(self.prove(serial, status)[0], 0)

    def test_the_version_line_comes_first(self):
        for serial in (stream(GOOD_BODY), b""):
            report = reports.parse(serial)
            text = reports.to_tap(report, reports.judge(report))
            self.assertEqual(text.splitlines()[0], "TAP version 13")
            self.assertEqual(text.count("TAP version"), 1)

    def junit(self, serial, status=33):
        report = reports.parse(serial)
        return ElementTree.fromstring(
            reports.to_junit(report, reports.judge(report, status)).encode())

    def test_junit_has_a_suite_a_component_and_one_for_the_run(self):
        root = self.junit(stream(GOOD_BODY))
        self.assertEqual([s.get("name") for s in root], ["a", "b", "run"])
        self.assertEqual([c.get("name") for c in root.iter("testcase")],
                         ["one", "two", "c/three", "report_is_complete"])
        self.assertEqual((root.get("tests"), root.get("failures")), ("4", "0"))
        self.assertEqual(root.find("testsuite/testcase/skipped").get("message"), "no such CPU")

    def test_junit_has_the_message_of_a_failure(self):
        root = self.junit(stream(BAD_BODY, (3, 1, 1, 1)), 35)
        failure = root.find("testsuite[@name='a']/testcase/failure")
        self.assertEqual(failure.get("message"), "a.c:3: 1 is not 2")
        self.assertIn("seed 7", failure.text)
        self.assertEqual(root.get("failures"), "1")

    def test_junit_shows_a_broken_run_as_a_failure(self):
        root = self.junit(stream(GOOD_BODY)[:-40])
        self.assertIsNotNone(root.find("testsuite[@name='run']/testcase/failure"))
        self.assertEqual(root.get("failures"), "1")

    def test_junit_survives_characters_that_xml_has_not(self):
        body = GOOD_BODY[:3] + ["# text: a\x01b<&>"] + GOOD_BODY[4:]
        root = self.junit(stream(body))
        self.assertIn("a?b<&>", [p.get("value") for p in root.iter("property")])

    def test_the_live_view_shows_the_report_and_nothing_else(self):
        shown = io.StringIO()
        view = reports.LiveView(shown.write, 20)
        for byte in stream(GOOD_BODY + ["# long: " + "x" * 50]):
            view.feed(bytes([byte]))
        text = shown.getvalue()
        self.assertNotIn("BdsDxe", text)
        self.assertIn("ok 2 - a/two # SKIP no such CPU\n", text)
        self.assertIn("# long: xxxxxxxxx...\n", text)
        self.assertNotIn("\r", text)

    def test_the_command_judges_and_writes_both_files(self):
        with tempfile.TemporaryDirectory() as folder:
            names = [os.path.join(folder, name) for name in ("log", "tap", "xml")]
            with open(names[0], "wb") as file:
                file.write(stream(GOOD_BODY))
            command = [sys.executable, os.path.join(SCRIPTS, "report.py"), names[0]]
            files = ["--tap", names[1], "--junit", names[2]]
            results = [subprocess.run(command + more, stdout=subprocess.DEVNULL,
                                      check=False).returncode
                       for more in (files, ["--status", "33"], ["--status", "0"])]
            self.assertEqual(results, [0, 0, 1])
            self.assertTrue(all(os.path.getsize(name) for name in names))
