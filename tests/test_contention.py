"""Several worker processes and several producers on one database: nobody is refused, and all is done once."""

import re

import pytest

from conveyor_django import Queue
from conveyor_django.models import Job

from .processes import spawn, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
EACH = 300
PRODUCE = f"""
from conveyor_django import FlowProducer, Queue
for number in range({EACH}):
    if number % 10:
        Queue("process-add").add("add", {{"a": number, "b": 1}})
    else:
        child = {{"name": "add", "queue_name": "process-add", "data": {{"a": number, "b": 2}}}}
        FlowProducer().add({{**child, "children": [child, {{**child}}]}})
print("added all")
"""
JOBS = EACH + 2 * EACH // 10
REFUSED = re.compile("locked|[Dd]eadlock|not available|Traceback")


def test_several_processes_write_at_a_time_and_none_is_refused():
    with (
        spawn("runworker", "process-add", "--processes", "4", "--concurrency", "2") as workers,
        spawn("shell", "-c", PRODUCE) as one,
        spawn("shell", "-c", PRODUCE) as two,
    ):
        for number in range(EACH):
            Queue("process-add").add("add", {"a": number, "b": 0})
        for producer in (one, two):
            producer.wait_for_output("added all", 120)
        wait_for(lambda: Job.objects.completed().count() == 2 * JOBS + EACH, 120)
        workers.terminate()
        assert workers.ends_with() == 0
        said = workers.output + one.output + two.output
    assert not REFUSED.findall(said), said
    assert not Job.objects.exclude(epoch=1, attempts_made=1).exists()
    assert [job.return_value for job in Job.objects.all()] == [sum(job.data.values()) for job in Job.objects.all()]
