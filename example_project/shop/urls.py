from django.urls import path

from example_project.shop import views

urlpatterns = [
    path("", views.start, name="start"),
    path("flows/<slug:kind>/", views.add_flow, name="add-flow"),
    path("reports/of/<uuid:job_id>/", views.report_of, name="report-of"),
    path("reports/<int:pk>/", views.report, name="report"),
]
