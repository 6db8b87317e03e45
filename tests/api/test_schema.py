"""The served OpenAPI document, held to what the service does by schemathesis: generated requests, every answer checked."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service import Service, homedex

CAPTURE = Path(__file__).parent.parent / "data" / "ha_captures" / "storage-2026.11"
OPERATIONS = 35
EACH = int(os.environ.get("HOMEDEX_CASES_EACH", "60"))
"""Requests generated for each operation; `make test-contract` sets 700, which makes 20,000 in all."""

# positive_data_acceptance: whether a cursor, an entity tag or a device_id is one of ours only the database knows, so a request that
# the schema allows may rightly be answered 400, 409, 412 or 422.
EXCLUDED = "positive_data_acceptance"


@pytest.mark.slow
def test_generated_requests_get_no_5xx_and_no_answer_outside_the_document(migrated: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(migrated, tmp_path / "registry.db"))
    assert homedex("import", "home-assistant", str(CAPTURE), path=path).returncode == 0
    with Service.start(path) as service:
        for name in ("0", "a", "boiler"):
            service.ask("PUT", f"/api/v1/devices/{name}", {"name": name, "area_id": "kitchen"})
        document = f"http://127.0.0.1:{service.port}/openapi.json"
        options = ["--checks", "all", "--exclude-checks", EXCLUDED, "--phases", "fuzzing", "--max-examples", str(EACH)]
        command = [sys.executable, "-m", "schemathesis.cli", "run", document, *options, "--workers", "2", "--continue-on-failure"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1500, check=False)
    shown = "\n".join(line[:300] for line in ran.stdout.splitlines()[-200:])
    assert ran.returncode == 0, shown
    generated = re.search(r"([\d,]+) generated, ([\d,]+) passed", ran.stdout)
    assert generated is not None, shown
    assert generated[1] == generated[2]
    assert int(generated[1].replace(",", "")) > OPERATIONS * EACH * 0.6  # those with few inputs have fewer to generate
