"""A Superset for one test: its own state in one folder, no cache, no background workers."""

import os

SECRET_KEY = "only for this test, only on this machine"
SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.environ['SUPERSET_FOLDER']}/superset.db?check_same_thread=false"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
CACHE_CONFIG = DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
RATELIMIT_ENABLED = False
