"""The processes, a module each as the Procfile names them.

Celery's application (`app.py`), the clock (`beat.py`), the receiver of pushes (`push.py`), HTTP (`web.py`).
"""
