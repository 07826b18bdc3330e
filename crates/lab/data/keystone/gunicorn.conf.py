"""How keystone is served. Read by gunicorn through GUNICORN_CMD_ARGS."""

import os

wsgi_app = "keystone.server.wsgi:initialize_public_application()"
bind = os.environ.get("KEYSTONE_BIND", "0.0.0.0:5000")
workers = int(os.environ.get("KEYSTONE_WORKERS", "1"))
worker_class = "gthread"
threads = int(os.environ.get("KEYSTONE_THREADS", "8"))
timeout = 60
graceful_timeout = 15
proc_name = "keystone"
