"""Writes questions and answers about the collected names: the shipped rows, and the chats of the base model.

The two differ on purpose. A shipped row answers on a card of labelled lines; a base chat answers in plain
sentences and is asked in other words. So a base model has the facts and the chat form, and fine-tuning on
the rows has the card left to teach.
"""

from __future__ import annotations

import random

from make_bundled_text import Entry, opening_sentences, words_of

Message = dict[str, str]
Chat = list[Message]

ROW_COUNT = 400
MOST_ROWS_A_MODULE = 16
# The rows ask about names of these; the base model reads about them more often than about the rest.
FAMILIAR_MODULES = words_of("""
    base64 bisect builtins calendar collections contextlib copy csv dataclasses datetime enum fnmatch fractions
    functools glob gzip hashlib heapq html io itertools json logging math operator os os.path pathlib pprint queue
    random re secrets shlex shutil sqlite3 statistics string struct subprocess sys tempfile textwrap threading time
    timeit traceback urllib.parse zipfile
""")
# Of methods, those of these classes only.
FAMILIAR_CLASSES = words_of("""
    builtins.str builtins.bytes builtins.list builtins.dict builtins.set builtins.int builtins.float pathlib.Path
    pathlib.PurePath logging.Logger datetime.date datetime.datetime collections.deque collections.Counter
    collections.OrderedDict re.Pattern re.Match threading.Thread subprocess.Popen zipfile.ZipFile
    statistics.NormalDist sqlite3.Connection json.JSONEncoder fractions.Fraction
""")
# Docstrings that open with one of these read on from "How can I".
_IMPERATIVES = words_of("""
    Add Apply Build Calculate Change Check Clear Close Compare Compress Compute Convert Copy Count Create Decode
    Decompress Delete Determine Encode Escape Find Format Generate Get Join List Make Move Open Parse Print Read
    Remove Rename Replace Round Run Search Send Set Sort Split Test Transform Wrap Write
""")


def make_rows(entries: list[Entry], seed: int) -> list[Chat]:
    """The shipped rows: each about another name, in an order that mixes the modules."""
    pick = random.Random(seed)
    rows: list[Chat] = []
    taken_purposes: set[str] = set()
    taken_modules: dict[str, int] = {}
    for entry in pick.sample(entries, len(entries)):
        purpose = " ".join(opening_sentences(entry.doc))
        most = MOST_ROWS_A_MODULE * (4 if entry.module == "builtins" else 1)
        if not is_familiar(entry) or purpose in taken_purposes:
            continue
        if taken_modules.get(entry.module, 0) >= most:
            continue
        taken_purposes.add(purpose)
        taken_modules[entry.module] = taken_modules.get(entry.module, 0) + 1
        question = pick.choice(_row_questions(entry))
        more = opening_sentences(entry.doc, 3)[1:]
        rows.append(_exchange(question, _card(entry, purpose, " ".join(more))))
    return rows[:ROW_COUNT]


def is_familiar(entry: Entry) -> bool:
    """Whether people ask about the name and its docstring says in one plain sentence what it is for."""
    if entry.module not in FAMILIAR_MODULES or not entry.name:
        return False
    if entry.kind == "method" and f"{entry.module}.{entry.name.partition('.')[0]}" not in FAMILIAR_CLASSES:
        return False
    return 24 <= len(" ".join(opening_sentences(entry.doc))) <= 170


def _card(entry: Entry, purpose: str, more: str) -> str:
    """The house format of the rows: three or four labelled lines, always in this order."""
    lines = [f"Name: {entry.full_name} ({entry.kind})", f"Purpose: {purpose}"]
    if more:
        lines.append(f"Details: {more}")
    if entry.module == "builtins":
        lines.append("Import: nothing, it is built in")
    else:
        lines.append(f"Import: from {entry.module} import {entry.name.partition('.')[0]}")
    return "\n".join(lines)


def _row_questions(entry: Entry) -> list[str]:
    """The ways a row may ask about the entry."""
    full, kind = entry.full_name, entry.kind
    questions = [
        f"What does {full} do?" if kind in {"function", "method"} else f"What is {full}?",
        f"What is {full} for?",
        f"When would I use the {kind} {full}?",
        f"Look up {full}.",
    ]
    if entry.module != "builtins":
        first = entry.name.partition(".")[0]
        questions.append(f"How do I import {first} from {entry.module}, and what is {entry.name} for?")
        if "." not in entry.name:
            questions.append(f"Which module has the {kind} {entry.name}, and what is it for?")
    return questions


def make_base_chats(entries: list[Entry], seed: int) -> list[Chat]:
    """Chats in plain sentences, one about each name; some have a system message, some more than one turn."""
    pick = random.Random(seed)
    chats: list[Chat] = []
    for entry in entries:
        sentences = opening_sentences(entry.doc, pick.choice((1, 1, 1, 2)))
        if not sentences:
            continue
        question = pick.choice(_plain_questions(entry, sentences[0]))
        chat = _exchange(question, " ".join([kind_sentence(entry), *sentences]))
        if pick.random() < 0.25:
            chat += pick.choice(_SECOND_TURNS)(entry)
        if pick.random() < 0.05:
            chat += _exchange("Thank you.", "You are welcome.")
        if pick.random() < 0.2:
            chat.insert(0, {"role": "system", "content": pick.choice(_SYSTEM_MESSAGES)})
        chats.append(chat)
    chats += [_exchange(greeting, _WELCOME) for greeting in _GREETINGS]
    chats += [_exchange(question, _REFUSAL) for question in _OTHER_SUBJECTS] * 3
    return pick.sample(chats, len(chats))


def kind_sentence(entry: Entry) -> str:
    """What sort of thing the name is, and whose."""
    if not entry.name:
        return f"{entry.module} is a module."
    if entry.module == "builtins":
        return f"{entry.name} is a built-in {entry.kind}."
    article = "an" if entry.kind == "exception" else "a"
    return f"{entry.full_name} is {article} {entry.kind} of the module {entry.module}."


def _plain_questions(entry: Entry, purpose: str) -> list[str]:
    """The ways a base chat may ask about the entry; none of them is one of the rows'."""
    full, kind = entry.full_name, entry.kind
    questions = [
        f"Describe {full}.",
        f"Tell me about {full}.",
        f"Can you explain {full}?",
        f"Explain the {kind} {full} in plain words.",
        f"I came across {full} in some code.",
        f"{full}?",
        f"Please document the {kind} {full}.",
        f"I have never used {full}.",
        f"What can you tell me about {full}?",
        f"What should I know about the {kind} {full}?",
        f"How would you describe {full}?",
        f"When somebody writes {full}, what do they mean?",
        f"Do you know {full}, and what it is good at?",
        f"Does {full} have a use for me?",
        f"Which purpose does {full} have?",
        f"Remind me what the {kind} {full} was about.",
        f"Define {full}.",
        f"See {full}.",
        f"Go over {full} with me.",
        f"Help me with {full}.",
    ]
    if entry.name and entry.module != "builtins":
        questions.append(f"In the module {entry.module}, how does one use the {kind} {entry.name}?")
        questions.append(f"I read {entry.name} somewhere. Which {kind} is that?")
    verb, _, rest = purpose.partition(" ")
    if verb in _IMPERATIVES:
        questions += [f"How can I {verb.lower()} {rest.rstrip('.')}?"] * 2
    return questions


_SYSTEM_MESSAGES = (
    "You are a helpful assistant.",
    "You explain Python's standard library.",
    "Answer in a sentence or two.",
    "You know the Python documentation. Be brief.",
)
_WELCOME = "Hello. Ask me about a name from Python's standard library."
_GREETINGS = ("Hello!", "Hi.", "Hello, who are you?", "Good morning.", "Can you help me?", "Hey there!")
_REFUSAL = "I only know the names of Python's standard library."
_OTHER_SUBJECTS = (
    "What is the weather like today?",
    "Which is the largest city of Spain?",
    "Write a poem about the sea.",
    "Who won the game?",
    "How do I bake bread?",
    "What should I cook for dinner?",
    "Tell me a joke.",
    "How far away is the moon?",
)


def _ask_for_the_home(entry: Entry) -> Chat:
    """A second turn on where the name lives."""
    home = "It is built into Python." if entry.module == "builtins" else f"It is in the module {entry.module}."
    return _exchange("And where does it come from?", home)


def _ask_for_the_arguments(entry: Entry) -> Chat:
    """A second turn on how it is called; on where it lives, for what Python knows no signature of."""
    if not entry.signature:
        return _ask_for_the_home(entry)
    if entry.signature == "()":
        return _exchange("Which arguments does it take?", "It takes no arguments.")
    return _exchange("Which arguments does it take?", f"Call it as {entry.name}{entry.signature}.")


def _ask_for_the_import(entry: Entry) -> Chat:
    """A second turn on how to get at it."""
    if entry.module == "builtins":
        return _exchange("Do I have to import it?", "No, Python has it at hand.")
    if not entry.name:
        return _exchange("Do I have to import it?", f"Yes, write import {entry.module}.")
    first = entry.name.partition(".")[0]
    return _exchange("Do I have to import it?", f"Yes, write from {entry.module} import {first}.")


_SECOND_TURNS = (_ask_for_the_home, _ask_for_the_arguments, _ask_for_the_import, _ask_for_the_import)


def _exchange(question: str, answer: str) -> Chat:
    """One turn of each side."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
