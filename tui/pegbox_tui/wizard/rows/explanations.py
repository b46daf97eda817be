"""What `?` says in the step of the rows."""

from __future__ import annotations

from pegbox_tui.shell.explaining import Explanation

STEP = Explanation(
    "Rows",
    "A row is one example of what the model shall learn: a question with the answer you want, or a whole conversation. "
    "Pegbox reads the file, tells how it understands it, what is wrong with it, how long the rows are for this model, "
    "and how many are kept apart to judge the result by. Nothing is changed in your file.",
)
PATH = Explanation(
    "Where the rows lie",
    "A path, also with ~ or from the folder you started in; Tab goes on with it. Accepted are files of rows (JSON, "
    "JSONL, CSV, TSV, Parquet, Arrow, also packed as .gz or .zst), a folder of them, or the id of a data set on the "
    "Hugging Face Hub as in org/name. A data set is fetched only after you say so, and from then on no network is "
    "needed.",
    "Pegbox, rows/source.py",
)
ENTRIES = Explanation(
    "What is here",
    "Folders, and files that may hold rows, with their sizes and dates. Enter takes a file or goes into a folder; "
    "hidden ones are listed if what you type begins with a dot. The example rows are 400 questions about Python's "
    "library, good for trying things out.",
)
LENGTHS = Explanation(
    "Length",
    "A model reads tokens: pieces of words, three quarters of a word on average in English. training.length is the "
    "most tokens of a row that a run looks at; what is longer loses its end. A trained token is one that the model "
    "learns to say: those of the answers; the question is only context. A short limit that cuts answers wastes rows, "
    "and may cut off the end that teaches the model to stop. A long limit costs memory: activations grow with it. "
    "'lost' is the share of all trained tokens that a limit cuts away; 'memory' is what should be free for a run of "
    "that length here. The advice takes the least length that keeps 99 % of the trained tokens, if it fits.",
    "counted with the model's own tokenizer and chat template; Pegbox' forecast of memory",
)
SHARE = Explanation(
    "Held-out rows",
    "Some rows are kept apart and never trained on. How well the model does on those tells whether it learned the task "
    "or knows the rows by heart: when the loss on them rises while the loss in training falls, it is overfitting. Rows "
    "are chosen by their content, so equal rows fall on the same side. 5 to 20 % are usual; under 30 rows tell little.",
    "rule of thumb: 5 to 20 %",
)
BY = Explanation(
    "Together by a column",
    "Rows with the same value in this column fall on the same side, as those of one author or one document. Without "
    "it, rows that nearly repeat each other may lie on both sides, and the model looks better than it is.",
    "Kapoor and Narayanan 2023, Leakage and the reproducibility crisis, doi:10.1016/j.patter.2023.100804",
)
STRATIFY = Explanation(
    "The same share of each",
    "Of each value of this column the same share is held out, as of each label: else a rare one may be missing on one "
    "of the sides.",
    "Kohavi 1995, A study of cross-validation and bootstrap, IJCAI",
)
OWN_FILE = Explanation(
    "Held-out rows of their own",
    "A file, a folder or a Hub id with rows that are only judged by. Then no share is drawn, and training rows that "
    "are also in it are left out of the training. Leave it empty for a share.",
)
FORMAT = Explanation(
    "Format",
    "How a row is read. 'auto' looks at the keys and says what it found; name a format if it is wrong. messages and "
    "sharegpt are whole conversations, the pairs are a question and an answer, text is learned whole.",
)
COLUMN = Explanation(
    "Columns by hand",
    "Which of the file's keys holds the question (prompt), the answer (completion), instructions for the whole row "
    "(system), a list of turns (messages), or one text (text). 'by looking' lets Pegbox find it. Name what looking "
    "can't tell; only the answer is trained.",
)
LIMIT = Explanation("Only the first rows", "Use only so many rows from the top of the file. Empty: all of them.")
SUBSET = Explanation("Subset", "Some data sets have several parts, such as languages. Empty: its only one.")
HUB_SPLIT = Explanation("Split", "The Hub keeps a data set's rows for training and for testing apart. Usual: train.")
FIRST = Explanation(
    "A row as the model sees it",
    "Green, and in double brackets, is what is trained: the model learns to say it. Grey is context: it is read, and "
    "not learned. v opens all rows.",
)
SUMMARY = Explanation(
    "What the doctor says",
    "Each finding has a level: 'bad' means that a run would refuse the rows or be spoilt by them, 'look' is worth a "
    "look, 'note' is for information. v shows the rows; `pegbox data FILE --fix OUT` writes a cleaned copy.",
)
PARTS = Explanation(
    "Parts of the report",
    "Up and down show a part beside the list; Enter goes there. On a finding that a run would refuse, a lets it pass "
    "after a question, and takes that back.",
)
