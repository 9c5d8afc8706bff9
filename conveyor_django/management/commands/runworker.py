from django.core.management.base import BaseCommand
from conveyor_django import Worker
class Command(BaseCommand):
    def add_arguments(self, p):
        p.add_argument("queues", nargs="*")
        p.add_argument("--concurrency", type=int, default=1)
        p.add_argument("--until-idle", action="store_true")
    def handle(self, *a, **o):
        Worker(o["queues"] or None, concurrency=o["concurrency"]).run(until_idle=o["until_idle"])
