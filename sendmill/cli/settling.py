"""`sendmill unconfirmed`, `settle` and `sweeps`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import fields_of, json_option, number, print_json, print_table, reason_option, reveal_option
from sendmill.messages import Verdict
from sendmill.states import State

if TYPE_CHECKING:
    from sendmill.client import Client

_QUESTIONS = {
    Verdict.SENT: "Say that the vendor took {what}?",
    Verdict.RESEND: "Send {what} again? The vendor may have taken it already: look in its portal first.",
    Verdict.GIVE_UP: "Give {what} up? It becomes unknown.",
}
_DONE = {Verdict.SENT: State.SUBMITTED, Verdict.RESEND: State.QUEUED, Verdict.GIVE_UP: State.UNKNOWN}


@click.command()
@click.option("--account", help="Only messages of this account.")
@json_option
@reveal_option
@click.pass_context
def unconfirmed(context: click.Context, *, account: str | None, as_json: bool, reveal: bool) -> None:
    """List the messages that the vendor may have taken: no usable answer was read."""
    found = connected(context).unconfirmed(account)
    if as_json:
        for each in found:
            print_json(fields_of(each))
        return
    print_table(
        ["MESSAGE", "TO", "ACCOUNT", "SINCE", "CODE", "DETAIL"],
        (
            [each.message_id, number(each.to, reveal=reveal), each.account, each.since, each.code, each.detail]
            for each in found
        ),
        empty="nothing is unconfirmed",
    )


@click.command()
@click.argument("message_or_job", metavar="MESSAGE|JOB")
@click.option("--sent", "verdict", flag_value=Verdict.SENT.value, help="The vendor took it: submitted.")
@click.option("--resend", "verdict", flag_value=Verdict.RESEND.value, help="Send it again: queued. May arrive twice.")
@click.option("--give-up", "verdict", flag_value=Verdict.GIVE_UP.value, help="Nobody will know: unknown.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@reason_option
@json_option
@click.pass_context
def settle(
    context: click.Context, message_or_job: str, *, verdict: str | None, yes: bool, reason: str, as_json: bool
) -> int:
    """Say what became of an unconfirmed MESSAGE, or of all unconfirmed messages of a JOB."""
    if verdict is None:
        raise click.UsageError("say what became of it: --sent, --resend or --give-up")
    chosen, client = Verdict(verdict), connected(context)
    if not yes:
        waiting = _waiting(client, message_or_job)
        if not waiting:
            raise click.ClickException(f"nothing of {message_or_job} is unconfirmed")
        what = f"{message_or_job} ({waiting:,} unconfirmed)" if waiting > 1 else message_or_job
        click.confirm(_QUESTIONS[chosen].format(what=what), abort=True, err=True)
    result = client.settle(message_or_job, chosen, reason=reason)
    if as_json:
        print_json({"target": message_or_job, "verdict": chosen.value, "settled": result.settled, "left": result.left})
    else:
        click.echo(f"{_many(result.settled)} {_DONE[chosen].value}" if result.settled else "nothing was settled")
        if result.left:
            click.echo(f"{_many(result.left)} unconfirmed still: expired, or of a cancelled job", err=True)
    return 0 if result.settled else 1


def _waiting(client: Client, message_or_job: str) -> int:
    if "-" in message_or_job:
        return int(client.show(message_or_job)["state"] == State.UNCONFIRMED)
    return client.status(message_or_job).states.get(State.UNCONFIRMED, 0)


def _many(count: int) -> str:
    return f"{count:,} {'message is' if count == 1 else 'messages are'}"


@click.command()
@json_option
@click.pass_context
def sweeps(context: click.Context, *, as_json: bool) -> None:
    """Show what the workers' sweeps have found: a number that keeps growing is a fault."""
    found = connected(context).sweeps()
    if as_json:
        for each in found:
            print_json(fields_of(each))
        return
    print_table(
        ["SWEEP", "ACCOUNT", "FOUND#", "LAST"],
        ([each.sweep, each.account, each.found, each.last_at] for each in found),
        empty="no sweep has found anything",
    )
