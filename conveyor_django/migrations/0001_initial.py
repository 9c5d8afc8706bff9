import conveyor_django.encoding
import conveyor_django.ids
import conveyor_django.indexes
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from conveyor_django.engines import get_engine


def after_migrate(apps, schema_editor):
    get_engine(schema_editor.connection.alias).after_migrate(schema_editor)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='QueueState',
            fields=[
                ('queue_name', models.CharField(max_length=255, primary_key=True, serialize=False, verbose_name='queue')),
                ('paused_at', models.DateTimeField(blank=True, null=True)),
                ('paused_by', models.CharField(blank=True, default='', max_length=255, verbose_name='paused by')),
            ],
            options={
                'verbose_name': 'queue',
                'verbose_name_plural': 'queues',
                'permissions': [('pause_queue', 'Can pause and resume queues')],
                'default_permissions': ('view', 'change'),
            },
        ),
        migrations.CreateModel(
            name='Overview',
            fields=[
            ],
            options={
                'verbose_name': 'overview',
                'verbose_name_plural': 'overview',
                'proxy': True,
                'default_permissions': (),
                'indexes': [],
                'constraints': [],
            },
            bases=('conveyor_django.queuestate',),
        ),
        migrations.CreateModel(
            name='QueueMinute',
            fields=[
                ('id', models.UUIDField(default=conveyor_django.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('queue_name', models.CharField(max_length=255, verbose_name='queue')),
                ('minute', models.DateTimeField(db_index=True)),
                ('completed', models.PositiveIntegerField(default=0)),
                ('failed', models.PositiveIntegerField(default=0)),
                ('waited', models.JSONField(default=dict)),
                ('ran', models.JSONField(default=dict)),
            ],
            options={
                'verbose_name': 'minute of a queue',
                'verbose_name_plural': 'minutes of queues',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='WorkerProcess',
            fields=[
                ('id', models.UUIDField(default=conveyor_django.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('host', models.CharField(max_length=255)),
                ('pid', models.PositiveIntegerField()),
                ('queues', models.JSONField(null=True)),
                ('concurrency', models.PositiveIntegerField()),
                ('started_at', models.DateTimeField()),
                ('heartbeat_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('dead_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'worker',
                'verbose_name_plural': 'workers',
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.UUIDField(default=conveyor_django.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('queue_name', models.CharField(max_length=255, verbose_name='queue')),
                ('name', models.CharField(max_length=255, verbose_name='name')),
                ('job_id', models.CharField(blank=True, help_text='custom id, unique in its queue', max_length=255, null=True, verbose_name='job_id')),
                ('data', models.JSONField(default=dict, encoder=conveyor_django.encoding.PortableEncoder, null=True, verbose_name='data')),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('waiting-children', 'Waiting-children'), ('delayed', 'Delayed'), ('active', 'Active'), ('completed', 'Completed'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], max_length=16, verbose_name='state')),
                ('depth', models.PositiveIntegerField(default=0)),
                ('pending_children', models.PositiveIntegerField(default=0)),
                ('priority', models.IntegerField(default=0, verbose_name='priority')),
                ('position', models.BigIntegerField(default=0)),
                ('max_attempts', models.PositiveIntegerField(default=1)),
                ('max_stalls', models.PositiveIntegerField(default=1)),
                ('backoff', models.JSONField(blank=True, null=True)),
                ('delay', models.FloatField(default=0)),
                ('timeout', models.FloatField(blank=True, null=True)),
                ('fail_parent_on_child_failure', models.CharField(choices=[('fail', 'Fail'), ('ignore', 'Ignore'), ('remove', 'Remove')], default='fail', max_length=6, verbose_name='if a child fails')),
                ('remove_on_complete', models.BooleanField(default=False)),
                ('remove_on_fail', models.BooleanField(default=False)),
                ('removes_children', models.BooleanField(default=False)),
                ('removal_due', models.BooleanField(default=False)),
                ('worker', models.UUIDField(blank=True, null=True)),
                ('epoch', models.BigIntegerField(default=0)),
                ('attempts_made', models.PositiveIntegerField(default=0)),
                ('stalls', models.PositiveIntegerField(default=0)),
                ('progress', models.JSONField(blank=True, encoder=conveyor_django.encoding.PortableEncoder, null=True)),
                ('return_value', models.JSONField(blank=True, encoder=conveyor_django.encoding.PortableEncoder, null=True)),
                ('failed_reason', models.TextField(blank=True, default='')),
                ('stacktrace', models.TextField(blank=True, default='')),
                ('failed_by', models.UUIDField(blank=True, null=True)),
                ('run_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('parent', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='children', to='conveyor_django.job')),
                ('root', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='tree', to='conveyor_django.job')),
            ],
            options={
                'verbose_name': 'job',
                'verbose_name_plural': 'jobs',
                'permissions': [('retry_job', 'Can retry jobs'), ('cancel_job', 'Can cancel jobs'), ('edit_job', 'Can change priority and data of jobs, and run delayed ones now'), ('remove_job', 'Can remove jobs and clean queues'), ('view_payload', 'Can see data and results of jobs')],
            },
        ),
        migrations.CreateModel(
            name='JobError',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('attempt', models.PositiveIntegerField()),
                ('reason', models.TextField()),
                ('stacktrace', models.TextField(blank=True, default='')),
                ('worker', models.UUIDField(blank=True, null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, related_name='errors', to='conveyor_django.job')),
            ],
            options={
                'verbose_name': 'failed attempt',
                'verbose_name_plural': 'failed attempts',
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='JobLog',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField()),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, related_name='logs', to='conveyor_django.job')),
            ],
            options={
                'verbose_name': 'log line',
                'verbose_name_plural': 'log lines',
                'default_permissions': ('view',),
            },
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.StateIndex(fields=['queue_name', 'priority', 'position', 'id'], name='conveyor_job_waiting', of_state='waiting'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.StateIndex(fields=['run_at'], name='conveyor_job_delayed', of_state='delayed'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.StateIndex(fields=['worker'], name='conveyor_job_active', of_state='active'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.PartialIndex(fields=['id'], name='conveyor_job_parents', of_state='waiting-children'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.PartialIndex(fields=['root', 'id'], name='conveyor_job_failed', of_state='failed'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.SparseIndex(covers=['state'], fields=['parent', 'id'], name='conveyor_job_parent', unique=False, where={'parent__isnull': False}),
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.CoveringIndex(covers=['state'], fields=['root'], name='conveyor_job_root'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.SparseIndex(fields=['queue_name', 'job_id'], name='conveyor_job_job_id', unique=True, where={'job_id__isnull': False}),
        ),
        migrations.AddIndex(
            model_name='job',
            index=conveyor_django.indexes.SparseIndex(fields=['removal_due'], name='conveyor_job_removal', unique=False, where={'removal_due': True}),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'active'), ('worker__isnull', False)), models.Q(models.Q(('state', 'active'), _negated=True), ('worker__isnull', True)), _connector='OR'), name='conveyor_job_active_is_leased'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__in', ['cancelled', 'completed', 'failed'])), models.Q(models.Q(('state__in', ['cancelled', 'completed', 'failed']), _negated=True), ('finished_at__isnull', True)), _connector='OR'), name='conveyor_job_finished_at'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('pending_children__gte', 0), models.Q(models.Q(('state', 'waiting-children'), _negated=True), ('pending_children__gt', 0), _connector='OR')), name='conveyor_job_pending_children'),
        ),
        migrations.RunPython(after_migrate, migrations.RunPython.noop, atomic=False),
    ]
