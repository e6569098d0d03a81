"""The contract kit: does an encoder do what scoring relies on, and is a task fair? For the command line and your tests.

from benchmarks.testing import check, check_task

def test_contract():
    assert not [finding for finding in check(MyEncoder()) if finding.status == "fail"]

def test_task():
    assert not [finding for finding in check_task(ROWS[0]) if finding.status == "fail"]
"""

from benchmarks.testing.contract import Finding as Finding
from benchmarks.testing.contract import check as check
from benchmarks.testing.task_contract import check_task as check_task
