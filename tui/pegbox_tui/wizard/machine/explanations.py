"""The machine step in plain words: what each line of it means, and whose word that is."""

from __future__ import annotations

from pegbox_runs.device_names import device_label
from pegbox_runs.figures import size
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.machine.words import LEVELS, Line

NVML = "NVIDIA's management library (NVML), asked by nvidia-ml-py; of AMD's cards, Linux' own files in /sys"
STEP = Explanation(
    "Machine",
    "What was found in this machine, and what stands in the way of training on it. Nothing has to be answered here: go "
    "on with ctrl+n. If you mean to train somewhere else, press w and name that GPU; everything that follows is "
    "then reckoned for it.",
    "Pegbox' own look at the machine, as `pegbox doctor` tells it",
)
GO_ON = Explanation(
    "Go on",
    "Goes to the next step, the model. What is forecast there is for the device that is named above.",
)
WHAT_IF = Explanation(
    "What if: plan for another GPU",
    "Pick a card that isn't here, or say how much memory it has. Models, methods and times are then forecast for it, "
    "and the recipe can be saved and taken there. It is never measured or started as if the card were in this machine.",
    "Speeds and sizes of cards: the makers' data sheets, row by row in Pegbox' profiles.toml",
)
THIS_MACHINE = Explanation(
    "Back to this machine", "Forgets the planned card: what follows is for the device that is here."
)
FREE_COUNTS = (
    "Training keeps the model's weights, what it needs to learn from them and the numbers of the rows at hand in the "
    "GPU's own memory, all at once. What doesn't fit ends the run. What is free counts, not what the card has: other "
    "programs, and the desktop, hold some of it, and a run can't take it from them."
)
LEVEL_WORDS = {
    "green": "As it should be: nothing to do.",
    "yellow": "It works, but is worth a look before a long run.",
    "red": "It stands in the way of training: mend it first.",
}
SOURCES = {
    "gpu-memory": NVML,
    "torch-build": "PyTorch's own list of builds (pytorch.org/get-started), and what torch said of this machine",
    "driver-too-old": "NVIDIA's table of drivers and CUDA versions (docs.nvidia.com, CUDA compatibility)",
    "memory-limit": "the container's control group, in /sys/fs/cgroup",
    "memory": "the system's own figures (psutil), within the container's limit",
    "disk": "the file system's own figures; a model of 8 billion weights takes 15 GiB",
    "ssh": "SSH's variables and the parents of this process",
    "terminal": "the variable TERM and the terminal's own size",
}


def explain(line: Line) -> Explanation:
    """Explain a line of the list."""
    if line.finding is not None:
        return _of_finding(line)
    if line.gpu is not None:
        return _of_gpu(line)
    return BY_ABOUT[line.about]


def _of_gpu(line: Line) -> Explanation:
    gpu = line.gpu
    assert gpu is not None  # noqa: S101
    said = [FREE_COUNTS]
    if gpu.unified:
        said.append(
            "This one shares the machine's RAM, so every program counts against it, and more of it is kept free."
        )
    if gpu.slice_of is not None:
        said.append(
            "This is a MIG slice: a fixed part of a card, with memory of its own. It counts as a device; the rest of "
            "the card can't be used from it, and its speed is a part of the card's that no table tells."
        )
    if gpu.compute_capability:
        said.append(
            f"Its compute capability is {gpu.compute_capability}: NVIDIA's number of a chip's abilities. From 8.0 on "
            "it computes in bfloat16, which trains more calmly than float16; from 6.0 on bases of 4 bits work."
        )
    if gpu.holders:
        said.append("Who holds how much is listed below its name. End such a program to have its memory free.")
    title = f"{device_label(gpu)}: {gpu.name}, {size(gpu.memory_free)} free"
    return Explanation(title, "\n\n".join(said), NVML)


def _of_finding(line: Line) -> Explanation:
    finding = line.finding
    assert finding is not None  # noqa: S101
    said = f"{finding.text}\n\n{LEVEL_WORDS[finding.level]}"
    if finding.command:
        said += f"\n\nThe command that mends it, or tells more: {finding.command}\nEnter copies it."
    source = SOURCES.get(finding.about, "Pegbox' doctor, from what the drivers and torch say of themselves")
    return Explanation(f"{LEVELS[finding.level]}: {finding.about}", said, source)


BY_ABOUT = {
    "no-gpu": Explanation(
        "No GPU",
        "A GPU multiplies large tables of numbers many times faster than a processor, and training is little else. "
        "Without one, small models and few rows still work; anything larger takes days. If there should be one here, "
        "the doctor's lines below say what is missing. With w you plan for one that you might rent.",
        "the forecast of this processor's speed: operations a step over its peak rate",
    ),
    "processor": Explanation(
        "Processor",
        "It prepares the rows while the GPU computes; without a GPU it does all the work, on the cores that this "
        "process may use. In a container these may be fewer than the machine has.",
        "/proc/cpuinfo, the scheduler and the container's quota",
    ),
    "ram": Explanation(
        "RAM",
        "The machine's ordinary memory. A model is read through it on its way to the GPU, and merging a tuned model "
        "needs room for all its weights. In a container the limit counts: a run that takes more is killed.",
        "the system's own figures (psutil), within the container's limit",
    ),
    "runs": Explanation(
        "Disk for runs",
        "Each run keeps its settings, its log and its checkpoints in a folder here, so that it can go on after a crash "
        "and be repeated. An adapter's checkpoint takes some hundred MB, one of full fine-tuning as much as the model "
        "several times over. PEGBOX_HOME names another place.",
        "the file system's own figures",
    ),
    "models": Explanation(
        "Disk for models",
        "A model of the Hub is downloaded once and kept here: two bytes a weight, 15 GiB for 8 billion. HF_HOME names "
        "another place.",
        "the file system's own figures; huggingface_hub's environment variables",
    ),
}
