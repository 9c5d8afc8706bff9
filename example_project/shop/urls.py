from django.urls import path

from example_project.shop import views

urlpatterns = [
    path("", views.start, name="start"),
    path("flows/<slug:kind>/", views.add_flow, name="add-flow"),
    path("reports/<int:pk>/", views.report, name="report"),
]
