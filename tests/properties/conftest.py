"""Runs of random projects parse their files in the process of the test, which another would take as long as the run.

Their pages are not drawn: tables are what is compared.
"""

import pytest

from support.few_models import drawing_no_page
from support.in_process_parser import parse_in_process


@pytest.fixture(autouse=True, scope="module")
def _parse_in_process():
    with pytest.MonkeyPatch.context() as patch:
        parse_in_process(patch)
        drawing_no_page(patch)
        yield
