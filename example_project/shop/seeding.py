"""Fills the shop: the same figures in the same month, whoever seeds it."""

from collections.abc import Callable

from django.db import transaction
from django.db.models import Max
from factory.random import randgen, reseed_random

from example_project.shop import factories
from example_project.shop.models import Customer, Order, OrderLine, Product, Region, Stock

SEED = 20
PRODUCTS = 40
CUSTOMERS = 400
CHUNK = 1000  # orders


@transaction.atomic
def seed(orders: int, on_progress: Callable[[int], None] = lambda done: None) -> int:
    """Raise the number of orders to `orders`; returns how many were added."""
    missing = orders - Order.objects.count()
    if missing <= 0:
        return 0
    last = Order.objects.aggregate(last=Max("number"))["last"] or 0
    reseed_random(SEED + last)
    if not Customer.objects.exists():
        add_catalogue()
    customers, products = (
        list(Customer.objects.select_related("region").order_by("pk")),
        list(Product.objects.all()),
    )
    for done in range(0, missing, CHUNK):
        add_orders(last + done, min(CHUNK, missing - done), customers, products)
        on_progress(min(done + CHUNK, missing))
    return missing


def add_catalogue() -> None:
    """Regions, products with their stock, and customers."""
    for factory in (factories.RegionFactory, factories.ProductFactory, factories.CustomerFactory):
        factory.reset_sequence(force=True)
    factories.RegionFactory.code.reset()
    Region.objects.bulk_create(factories.RegionFactory.build_batch(len(factories.REGIONS)))
    Product.objects.bulk_create(factories.ProductFactory.build_batch(PRODUCTS))
    # read back here and below, as MySQL doesn't say which ids it gave
    regions, products = list(Region.objects.order_by("pk")), list(Product.objects.all())
    Stock.objects.bulk_create(
        factories.StockFactory.build(region=region, product=product) for region in regions for product in products
    )
    homes = randgen.choices(regions, weights=[4, 2, 2, 3], k=CUSTOMERS)
    Customer.objects.bulk_create(factories.CustomerFactory.build(region=home) for home in homes)


def add_orders(last: int, count: int, customers: list[Customer], products: list[Product]) -> None:
    """`count` orders of one to four lines, numbered from `last` + 1."""
    Order.objects.bulk_create(
        factories.OrderFactory.build(number=last + n, customer=randgen.choice(customers)) for n in range(1, count + 1)
    )
    orders = Order.objects.filter(number__gt=last, number__lte=last + count).order_by("number")
    OrderLine.objects.bulk_create(
        factories.OrderLineFactory.build(order=order, product=product)
        for order in orders
        for product in randgen.sample(products, randgen.randrange(1, 5))
    )


@transaction.atomic
def reset() -> None:
    """Delete all that seeding made; reports stay."""
    for model in (OrderLine, Order, Customer, Stock, Product, Region):
        model._default_manager.all().delete()
