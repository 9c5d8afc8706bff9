"""A small shop. Money is in whole cents: exact in every database, and valid JSON in a job's value."""

from django.db import models
from django.urls import reverse


class Region(models.Model):
    code = models.SlugField(max_length=20, unique=True)
    name = models.CharField(max_length=60)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    sku = models.CharField("SKU", max_length=20, unique=True)
    name = models.CharField(max_length=100)
    price_cents = models.PositiveIntegerField("price in cents")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Stock(models.Model):
    """How much of a product lies in a region's warehouse."""

    LOW = 10  # fewer pieces than this are a low stock

    region = models.ForeignKey(
        Region, models.CASCADE, related_name="stocks", db_index=False
    )  # the constraint's will do
    product = models.ForeignKey(Product, models.CASCADE, related_name="stocks")
    quantity = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "stock"
        constraints = [models.UniqueConstraint(fields=["region", "product"], name="shop_stock_once")]

    def __str__(self) -> str:
        return f"{self.product} in {self.region}"


class Customer(models.Model):
    region = models.ForeignKey(Region, models.PROTECT, related_name="customers")
    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    number = models.PositiveIntegerField(unique=True)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="orders")
    region = models.ForeignKey(Region, models.PROTECT, related_name="orders", db_index=False)  # the index below will do
    placed_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]
        indexes = [models.Index(fields=["region", "placed_at"], name="shop_order_region_placed")]

    def __str__(self) -> str:
        return f"Order {self.number}"


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT, related_name="lines")
    quantity = models.PositiveIntegerField()
    price_cents = models.PositiveIntegerField("price in cents")  # of one piece, as it was that day

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id}"


class Report(models.Model):
    """What the flow `send-report` made."""

    job_id = models.UUIDField(unique=True, editable=False)  # no foreign key: a report outlives its flow
    month = models.CharField(max_length=7)  # 2026-10
    html = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"Report of {self.month}"

    def get_absolute_url(self) -> str:
        return reverse("report", args=[self.pk])
