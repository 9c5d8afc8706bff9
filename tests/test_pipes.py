"""What a command prints may be read as far as somebody likes."""

import os
import subprocess
import sys

import pytest

from conveyor_django import FlowJob, FlowProducer

from .processes import environment

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_reader_that_has_seen_enough_ends_it_quietly():
    flow = FlowProducer().add(FlowJob("root", "q", children=[FlowJob("child", "q") for _ in range(5_000)]))
    command = [sys.executable, "-m", "django", "flow", flow.job.id]
    env = {**os.environ, **environment()}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert "root" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1
