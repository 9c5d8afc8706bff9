"""The example in one command: prepare, add flows, process them while you watch, show what came out."""

import os
import sys
import time
from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.urls import reverse

from conveyor_django import FlowProducer, JobState
from conveyor_django.models import Job
from example_project.shop.flows import KINDS
from example_project.shop.live.nodes import Node, Tree
from example_project.shop.live.process import WorkerProcess
from example_project.shop.live.table import report_table
from example_project.shop.live.terminal import Terminal
from example_project.shop.live.watching import print_trees, watch
from example_project.shop.live.words import clean
from example_project.shop.models import Order, Report
from example_project.shop.seeding import seed
from example_project.shop.titles import title

SITE = "http://127.0.0.1:8000"
NAME = PASSWORD = "admin"
ROUNDS = 5


class Command(BaseCommand):
    help = "Prepare the example, add its flows and process them live. It can be run again and again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--orders", type=int, default=5000, help="how many the shop shall have (%(default)s)")
        parser.add_argument("--concurrency", type=int, default=4, help="jobs at a time (%(default)s)")

    def handle(self, *, orders: int, concurrency: int, no_color: bool, force_color: bool, **options: object) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo makes a user whose password everyone knows: it runs only with DEBUG on.")
        self.terminal = Terminal(self.stdout, no_color=no_color, force_color=force_color)
        try:
            self.prepare(orders)
            trees = self.add_flows()
            self.process(trees, concurrency)
        except KeyboardInterrupt:
            self.say("Stopped. What isn't done yet waits in the database for the next worker:")
            self.say(f"  {python()} manage.py runworker")
            sys.exit(130)
        self.show_report(trees[0])
        self.show_ways()

    def say(self, text: str = "", style: str = "") -> None:
        self.terminal.write([(style, text)])

    def prepare(self, orders: int) -> None:
        self.say("Preparing", "title")
        call_command("migrate", interactive=False, verbosity=0)
        name = connection.settings_dict["NAME"]
        self.say(f"  Migrated {connection.vendor} database {clean(Path(str(name)).name)}.")
        added, there = seed(orders), Order.objects.count()
        self.say(f"  Added {added:,} orders." if added else f"  Enough orders are there: {there:,}.")
        if not self.admin_user():
            get_user_model()._default_manager.create_superuser(NAME, password=PASSWORD)
            self.say(f"  Added the superuser {NAME}.")
        self.say()

    def add_flows(self) -> list[Tree]:
        flows = [kind.build() for kind in KINDS.values() if kind.is_small]
        added = FlowProducer().add_bulk(flows)
        return [Tree(title(result.job), Node.of(flow, result)) for flow, result in zip(flows, added, strict=True)]

    def process(self, trees: list[Tree], concurrency: int) -> None:
        jobs = sum(1 for tree in trees for _ in tree.nodes())
        self.say(f"Added {len(trees)} flows of {jobs} jobs; processing them with:", "title")
        self.say(f"  {python()} manage.py runworker --until-idle --concurrency {concurrency}")
        self.say()
        for _ in range(ROUNDS):
            with WorkerProcess("--until-idle", "--concurrency", str(concurrency)) as worker:
                watch(trees, self.terminal, worker)
            if worker.error_code or not any(tree.has_delayed for tree in trees):
                break
            time.sleep(1)  # it was idle, as only jobs with a delay were left
        print_trees(trees, self.terminal)
        if worker.error_code:
            raise CommandError(f"The worker ended with {worker.error_code}. It said:\n{worker.last_words()}")
        for tree in trees:
            if not tree.is_finished:
                self.say(f"{clean(tree.title)} is not finished. Is a queue paused? See: {python()} manage.py queues")

    def show_report(self, tree: Tree) -> None:
        root = Job.objects.filter(pk=tree.root.id, state=JobState.COMPLETED).first()
        if root is None:
            raise CommandError(f"No report came out. See why: {python()} manage.py flow {tree.root.id}")
        report = Report.objects.get(pk=root.return_value["report"])
        self.say(f"{tree.title}, money in euros", "title")
        self.terminal.write(*report_table(root.return_value["rows"]))
        self.say()
        self.say("With its chart on the page, once the site runs:")
        self.say(f"  {SITE}{report.get_absolute_url()}")
        self.say()

    def show_ways(self) -> None:
        user = self.admin_user()
        has_our_password = user is not None and user.check_password(PASSWORD)
        self.say("Open the admin", "title")
        self.say(f"  {python()} manage.py runserver")
        self.say(f"  {SITE}{reverse('admin:index')}")
        self.say(f"  user {NAME}, password {PASSWORD if has_our_password else 'as you have set it'}")

    def admin_user(self):
        return get_user_model()._default_manager.filter(username=NAME).first()


def python() -> str:
    """How to call this Python from here."""
    inside = Path(sys.executable).is_relative_to(Path.cwd())
    return os.path.relpath(sys.executable) if inside else sys.executable
