from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from example_project.shop import seeding
from example_project.shop.models import Order


class Command(BaseCommand):
    help = "Fill the shop with regions, products, customers and orders; does nothing when enough is there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--orders", type=int, default=5000, help="how many there shall be (%(default)s)")
        parser.add_argument("--reset", action="store_true", help="delete the shop's rows first; reports stay")

    def handle(self, *, orders: int, reset: bool, verbosity: int, **options: object) -> None:
        if orders < 1:
            raise CommandError("--orders must be 1 or more")
        if reset:
            seeding.reset()
        added = seeding.seed(orders, self.show if verbosity > 1 else lambda done: None)
        if verbosity:
            there = Order.objects.count()
            self.stdout.write(f"Added {added:,} orders: {there:,} now." if added else f"Enough: {there:,} orders.")

    def show(self, done: int) -> None:
        self.stdout.write(f"  {done:,} orders")
