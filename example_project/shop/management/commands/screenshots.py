"""Pictures of the admin for the documentation, of flows that really run: `make screenshots`."""

import os
import shutil
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.test import Client
from django.test.testcases import LiveServerThread
from django.urls import reverse

from conveyor_django import FlowProducer, JobState, Queue
from conveyor_django.models import Job
from example_project.shop.flows import KINDS
from example_project.shop.live.process import WorkerProcess
from example_project.shop.pictures import Camera
from example_project.shop.seeding import seed

PATIENCE = 120  # seconds


class Command(BaseCommand):
    help = "Take pictures of the admin into a folder. Needs Chromium, chromedriver, selenium and an empty database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *, folder: Path, **options: object) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        if Job.objects.exists():
            raise CommandError("There are jobs already: name an empty database with DATABASE_URL.")
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if not (chromium and driver):
            raise CommandError("chromium and chromedriver are needed.")
        folder.mkdir(parents=True, exist_ok=True)
        seed(2000)
        user = get_user_model()._default_manager.create_superuser("mara")
        client = Client()
        client.force_login(user)
        server = LiveServerThread("127.0.0.1", StaticFilesHandler)
        server.daemon = True
        settings.ALLOWED_HOSTS.append("127.0.0.1")
        server.start()
        server.is_ready.wait()
        site = f"http://127.0.0.1:{server.port}"
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        with closing(Camera(site, session, folder, chromium, driver)) as camera:
            self.take(camera)
        server.terminate()
        server.join()

    def take(self, camera: Camera) -> None:
        camera.shoot("overview-empty", reverse("admin:conveyor_django_overview_changelist"))
        names = ["statements", "deploy", "fail", "ignore"]
        results = FlowProducer().add_bulk([KINDS[name].build() for name in names])
        root = Job.objects.get(pk=results[0].job.id)
        with WorkerProcess("--concurrency", "6", "--until-idle") as worker:
            statements = Job.objects.filter(root=root, name="render-statement")
            self.until(lambda: statements.filter(state=JobState.FAILED).count() == 3, worker)
            Queue("pdf").pause()
            report = FlowProducer().add(KINDS["report"].build())
            reports = Job.objects.filter(root=report.job.id, state=JobState.COMPLETED)
            self.until(lambda: reports.count() >= 7, worker)
            self.shoot_all(camera, root, report.job.id)
            Queue("pdf").resume()

    def shoot_all(self, camera: Camera, root: Job, report_id: str) -> None:
        flow = reverse("admin:conveyor_django_job_flow", args=[root.pk])
        failed = Job.objects.filter(root=root, name="render-statement", state=JobState.FAILED, attempts_made=3)[0]
        jobs = reverse("admin:conveyor_django_job_changelist")
        camera.shoot("flow-progress", reverse("report-of", args=[report_id]), height=420)
        camera.shoot("flow", flow)
        camera.shoot("overview", reverse("admin:conveyor_django_overview_changelist"))
        camera.shoot("job", reverse("admin:conveyor_django_job_change", args=[failed.pk]))
        camera.shoot("jobs", f"{jobs}?level=all&state__exact=failed")
        camera.shoot("flow-narrow", flow, width=390)

    def until(self, condition: Callable[[], bool], worker: WorkerProcess) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline or not worker.is_running:
                raise CommandError(f"The flows did not get so far. {os.linesep}The worker runs: {worker.is_running}")
            time.sleep(0.05)
        connection.close()
