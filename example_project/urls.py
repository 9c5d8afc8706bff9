from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("conveyor/", include("conveyor_django.urls")),  # what `flow_progress` asks
    path("", include("example_project.shop.urls")),
]
