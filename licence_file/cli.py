"""`licence-file`: makes and reads signed licence files; offline, needs neither a master nor a network."""

from licence_file import making, reading
from runtime.cli import application

app = application("Makes, shows and checks signed licence files, away from any network.")
app.command()(making.keygen)
app.command()(making.issue)
app.command()(reading.show)
app.command()(reading.verify)
app.command()(making.revoke)
