"""What `?` says of each panel and of each curve."""

from __future__ import annotations

from pegbox_tui.shell.explaining import Explanation

CURVES = {
    "loss": Explanation(
        "Loss",
        "How surprised the model is, on average, by each token it should have said: 0 would mean it foresees every "
        "one. What counts is the direction. Training loss falling and then flattening is what a sound run looks like; "
        "it jumps about because each step sees other rows, so the smoothed line tells more.\n"
        "Evaluation loss is measured on held-out rows that the model never learns from. While both fall, it learns. "
        "When the evaluation loss rises while the training loss goes on falling, it memorizes the rows: that is "
        "overfitting, and the best checkpoint lies before the rise. A loss that leaps up and stays there means the "
        "learning rate is too high.",
        "cross-entropy per trained token, in nats; overfitting: Goodfellow, Bengio and Courville, Deep Learning, "
        "2016, sections 5.2 and 7.8",
    ),
    "learning-rate": Explanation(
        "Learning rate",
        "How far each step moves the weights. It usually climbs for the first few percent of the run (warm-up), so "
        "that the first, rough gradients do no harm, and then falls towards 0, so that the end settles down. A loss "
        "that leaps up soon after the warm-up asks for a lower one.",
        "warm-up: Goyal et al. 2017, arXiv:1706.02677; cosine: Loshchilov and Hutter 2017, arXiv:1608.03983",
    ),
    "gradient-norm": Explanation(
        "Gradient norm",
        "How strongly the rows of one step pull at all weights together, before it is clipped. It is large at first, "
        "then settles. Single peaks come from odd rows and are cut off by clipping; a norm that grows and grows "
        "foretells a run that diverges, and one near 0 means that nothing is learned. Steps whose norm was not "
        "finite have no point here.",
        "clipping: Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063",
    ),
    "speed": Explanation(
        "Tokens per second",
        "How many real tokens (padding left out) the run learns from in a second. It jumps with the length of the "
        "rows. A lasting fall while nothing was changed points outside the run: the card got hot and slowed down, "
        "another program took it, or the rows come from a slow disk.",
        "measured by the run itself: a step's tokens by its seconds",
    ),
    "memory": Explanation(
        "Memory",
        "What torch has reserved on the device at each step's end, for tensors now and for the next ones; of a run on "
        "the processor, what its process takes. It moves with the length of the rows. One that climbs step by step "
        "without end is a leak.",
        "torch.cuda.memory_reserved; the process' resident set",
    ),
    "step-seconds": Explanation(
        "Seconds a step",
        "From one step's end to the next one's, with evaluations and checkpoints left out. Longer rows take longer; "
        "the first step is the slowest.",
        "measured by the run itself",
    ),
}
CHART_KEYS = (
    "\n\nArrows move the cursor, which shows the values of a step; Escape takes it away. + and - zoom, shift or ctrl "
    "with arrows moves along, 0 shows all. g draws another curve, l switches the logarithmic scale, w shows raw, "
    "smoothed or both, [ and ] smooth less or more. Where a column holds many steps, it is drawn from their lowest "
    "value to their highest: no peak is left out."
)

DASHBOARD = Explanation(
    "The dashboard",
    "It shows one run from the files in its folder. It may be closed and opened again at any time, from any terminal, "
    "by several people at once: the run doesn't notice.",
)

PANELS = {
    "figures": Explanation(
        "Figures",
        "The newest step. Loss, learning rate and gradient norm are explained by the chart: g shows each. Tokens per "
        "second is the speed; beside it stands what was forecast before the start. rows/model/opt tells where a step's "
        "time goes: waiting for data, the model's arithmetic forward and backward, changing the weights. A "
        "large share of rows means the data are the brake, not the GPU. Padding is arithmetic wasted on making rows "
        "equally long; packing or sorting by length avoids it.\n"
        "Where several processes carry the run, tokens/s are those of all together, a process names their mean and the "
        "fewest that one has, and lost waiting is the share of a step in which the others wait for the slowest.",
        "measured by the run itself; forecast.json in its folder holds the forecast",
    ),
    "memory": Explanation(
        "Memory",
        "What the run takes, against what was forecast before its start. The bar shows by letters what holds the "
        "memory at the peak; M marks the peak that was measured: what the card holds more than before the start where "
        "its driver tells that, else what torch has reserved. A peak above the range is worth a look: the forecast "
        "learns from `pegbox forecast --level measured`. Of several processes it is the one that takes most, and the "
        "forecast is of one device.",
        "the forecast's ranges were held against published measurements; `pegbox forecast` tells them for any set-up",
    ),
    "evaluations": Explanation(
        "Evaluations",
        "From time to time the model is tried on held-out rows. The loss there is what counts for comparing: the best "
        "one is marked, and the adapter of a finished run has the weights of that step. `untrained` is the model "
        "before the first step, so the difference is what the training brought. Several rises one after another "
        "while the training loss falls are overfitting.",
        "early stopping: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 7.8",
    ),
    "news": Explanation(
        "Advice and news",
        "The most pressing hint, and what happened last. Key 5 shows all of both.",
    ),
    "advice": Explanation(
        "Advice",
        "Rules that look at the run's figures and say what a person with experience would see in them. `ACT` asks for "
        "a decision, `look` for attention, `well` says that all is as it should be. Each names whose rule it is. "
        "Nothing is done by itself.",
        "each hint names its own",
    ),
    "checks": Explanation(
        "Checks",
        "Many mistakes of fine-tuning raise no error: no token is trained, an adapter gets no gradient, the base is "
        "changed too. The run looks for these in its first steps, and ends if one is certain.",
        "`pegbox methods` and the documentation of runs list the checks",
    ),
    "timeline": Explanation(
        "What happened",
        "Everything out of the ordinary: commands and their answers, pauses, restarts, settings that were changed for "
        "want of memory, notices. All of it is in events.jsonl in the run's folder, for good.",
    ),
    "answers": Explanation(
        "Sample answers",
        "The same held-out questions, answered by the model before, during and after training, always with its most "
        "likely words. `expected` is what your rows say. Figures can improve while answers get worse: read them. An "
        "answer that never ends means that the end of an answer isn't learned.",
        "greedy decoding; evaluation.samples and evaluation.sample_tokens in the recipe",
    ),
    "ranks": Explanation(
        "Rank by layer",
        "AdaLoRA begins with the same rank (the size of its change) in every matrix and takes it away where it does "
        "little. Each row is a layer, each column a kind of matrix; the bar is the layer's sum. 0 means that the "
        "matrix is left as it was. Other methods give all matrices the same rank for good.",
        "Zhang et al. 2023, section 3, arXiv:2303.10512",
    ),
    "log": Explanation(
        "Log",
        "What the libraries printed while the run worked: warnings, and the traceback if one broke. Arrows and page "
        "keys scroll back to its very beginning; End follows what is new.",
        "worker.log in the run's folder",
    ),
}
