"""For the site to include: `path("conveyor/", include("conveyor_django.urls"))`."""

from django.urls import path

from .views import flow_progress

app_name = "conveyor_django"
urlpatterns = [path("progress/<str:token>/", flow_progress, name="flow_progress")]
