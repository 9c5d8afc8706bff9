"""Factories of the shop's rows. Seeding builds with them and saves in bulk."""

from datetime import timedelta

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory
from factory.random import randgen

from example_project.shop import models, months

REGIONS = {"north": "North", "east": "East", "south": "South", "west": "West"}
GOODS = [
    "Backpack",
    "Bicycle",
    "Blanket",
    "Bottle",
    "Boots",
    "Compass",
    "Cooker",
    "Jacket",
    "Lantern",
    "Tent",
]
MATERIALS = ["Canvas", "Carbon", "Cotton", "Steel"]
MONTHS = {-6: 5, -5: 6, -4: 6, -3: 7, -2: 8, -1: 9}  # how many months ago: how busy that one was


def past_moment():
    """Some moment of the last six full months, more likely a later one."""
    this_month = months.of(timezone.now())
    ago = randgen.choices(list(MONTHS), weights=MONTHS.values())[0]
    first, end = months.start(months.shift(this_month, ago)), months.start(months.shift(this_month, ago + 1))
    return first + timedelta(seconds=randgen.randrange(int((end - first).total_seconds())))


class RegionFactory(DjangoModelFactory):
    class Meta:
        model = models.Region

    code = factory.Iterator(REGIONS)
    name = factory.LazyAttribute(lambda region: REGIONS[region.code])


class ProductFactory(DjangoModelFactory):
    class Meta:
        model = models.Product

    sku = factory.Sequence(lambda n: f"SKU-{n + 1:03}")
    name = factory.Sequence(
        lambda n: f"{MATERIALS[n % len(MATERIALS)]} {GOODS[n // len(MATERIALS) % len(GOODS)].lower()}"
    )
    price_cents = factory.LazyFunction(lambda: randgen.randrange(500, 15000, 50) - 1)


class StockFactory(DjangoModelFactory):
    class Meta:
        model = models.Stock

    region = factory.SubFactory(RegionFactory)
    product = factory.SubFactory(ProductFactory)
    quantity = factory.LazyFunction(lambda: randgen.randrange(0, 120))


class CustomerFactory(DjangoModelFactory):
    class Meta:
        model = models.Customer

    region = factory.SubFactory(RegionFactory)
    name = factory.Faker("name")
    email = factory.Sequence(lambda n: f"customer{n + 1}@example.com")


class OrderFactory(DjangoModelFactory):
    class Meta:
        model = models.Order

    number = factory.Sequence(lambda n: n + 1)
    customer = factory.SubFactory(CustomerFactory)
    region = factory.SelfAttribute("customer.region")
    placed_at = factory.LazyFunction(past_moment)


class OrderLineFactory(DjangoModelFactory):
    class Meta:
        model = models.OrderLine

    order = factory.SubFactory(OrderFactory)
    product = factory.SubFactory(ProductFactory)
    quantity = factory.LazyFunction(lambda: randgen.randrange(1, 5))
    price_cents = factory.SelfAttribute("product.price_cents")
