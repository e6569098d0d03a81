"""The contract kit: does an encoder do what scoring relies on? For the command line, and for your own test suite.

from benchmarks.testing import check

def test_contract():
    assert not [finding for finding in check(MyEncoder()) if finding.status == "fail"]
"""

from benchmarks.testing.contract import Finding as Finding
from benchmarks.testing.contract import check as check
