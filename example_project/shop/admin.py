from django.contrib import admin

from example_project.shop.models import Customer, Order, OrderLine, Product, Region, Report, Stock


@admin.register(Region)
class RegionAdmin(admin.ModelAdmin):
    list_display = ["name", "code"]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "sku", "price_cents"]
    search_fields = ["name", "sku"]


@admin.register(Stock)
class StockAdmin(admin.ModelAdmin):
    list_display = ["product", "region", "quantity"]
    list_filter = ["region"]
    list_select_related = ["product", "region"]
    raw_id_fields = ["product"]


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "region"]
    list_filter = ["region"]
    search_fields = ["name", "email"]


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    raw_id_fields = ["product"]
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["number", "customer", "region", "placed_at"]
    list_filter = ["region"]
    list_select_related = ["customer", "region"]
    search_fields = ["=number"]
    raw_id_fields = ["customer"]
    inlines = [OrderLineInline]


@admin.register(Report)
class ReportAdmin(admin.ModelAdmin):
    list_display = ["month", "created_at", "job_id"]
    readonly_fields = ["job_id", "month", "html", "created_at"]
