"""What the web server imports: `wsgi:app`. The CLI finds the same object through FLASK_APP's default."""

from app import create_app, refuse_unsettled

app = create_app()
refuse_unsettled(app)
