"""Several runs' models that answer side by side, for as long as somebody asks them."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.records import ChatOrder, Interrupt, Line, Opened
from pegbox_runs.tuned import tuned_run
from pegbox_worker.chat.speaking import Speaking, told
from pegbox_worker.chat.voices import Choir
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.tuned_model import device_for_use


def run(request: bytes, contact: Contact) -> NoReturn:
    """Load the models, say so, and answer. It goes on until the asker goes away, which ends this process.

    Raises: Refusal: a model can't be loaded.
    """
    order = msgspec.json.decode(request, type=ChatOrder)
    device = device_for_use()
    voices = Choir(device, contact.tell).voices([tuned_run(folder, base=order.base) for folder in order.runs])
    contact.tell(told(Opened(lanes=tuple(voice.told for voice in voices), device=str(device))))
    speaking = Speaking({voice.lane: voice for voice in voices}, contact.tell)
    heard = msgspec.json.Decoder(Line)
    while True:
        line = contact.heard.get()
        try:
            said = heard.decode(line)
        except msgspec.DecodeError as error:
            raise Refusal(f"the chat was told something that it doesn't understand: {error}") from error
        if isinstance(said, Interrupt):
            speaking.interrupt()
        else:
            speaking.ask(said)
