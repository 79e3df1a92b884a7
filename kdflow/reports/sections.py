"""The sections of the page of an answer, in their order. What was not measured says so, or is left out."""

from collections.abc import Iterator, Mapping

from kdflow.analysis.answer import Answer
from kdflow.analysis.cells import percent
from kdflow.reports import tables
from kdflow.reports.blocks import Facts, Gallery, Picture, Section, Table, Text, thumbnail
from kdflow.reports.lettering import arm_names

LINE = "label \\ answer"  # no class is called so, and none takes its column
NO_PREDICTIONS = "The runs kept no predictions of which this could be reckoned."


def sections(answer: Answer, drawn: Mapping[str, str]) -> list[Section]:
    """Returns those that have anything to say.

    Args:
        answer: What is told.
        drawn: Its figures by name, as elements of HTML (see `kdflow.reports.report.figures`).
    """
    found = [
        Section("result", "Result", [*_result(answer)]),
        Section("gains", "Gains", [*_gains(answer, drawn)]),
        Section("accuracies", "Test accuracies", [*_accuracies(answer, drawn)]),
        Section("learning", "Learning", [*_learning(answer, drawn)]),
        Section("losses", "Losses", [*_losses(drawn)]),
        Section("fidelity", "Fidelity to the teacher", [*_fidelity(answer, drawn)]),
        Section("calibration", "Calibration", [*_calibration(answer, drawn)]),
        Section("cost", "Accuracy and cost", [*_cost(answer, drawn)]),
        Section("classes", "Classes", [*_classes(answer)]),
        Section("partings", "Where student and teacher part", [*_partings(answer)]),
        Section("making", "How it was made", [*_making(answer)]),
        Section("runs", "Every run", [*_runs(answer)]),
        Section("notes", "Notes", [*_notes(answer)]),
    ]
    return [section for section in found if section.blocks]


Blocks = Iterator[Text | Table | Picture | Gallery | Facts]


def _result(answer: Answer) -> Blocks:
    parts = [
        "Accuracies in %" + (", means over seeds, the sample deviation in brackets." if _has_seeds(answer) else ".")
    ]
    if any(effect.interval for effect in answer.effects):
        parts.append(
            "Gain: in test accuracy, in percentage points, with its interval over new seeds and new images, corrected"
            " for the number of arms. A gain of which the interval holds zero is not shown to be one."
        )
    elif answer.effects:
        parts.append("Gain: in test accuracy, in percentage points, of one pair of models; of others it says nothing.")
    yield Table(" ".join(parts), tables.headline(answer))


def _gains(answer: Answer, drawn: Mapping[str, str]) -> Blocks:
    if "gains" in drawn and any(effect.interval for effect in answer.effects):
        yield Picture(
            drawn["gains"],
            "Gain in test accuracy: the dot is the mean over pairs of the same seed. The thick line is the interval"
            " over new seeds and new images, on which the verdict is given; the thin one holds for these test images"
            " alone. The band is the margin within which differences count as none. That two intervals overlap does"
            " not say that two arms are alike: they are compared with the baseline, not with each other.",
        )
        yield Table(
            "The same in numbers, in percentage points: the sample deviation of the differences, the intervals over new"
            " seeds and new images and over new seeds on these images, both at the level that Holm's method leaves the"
            " arm; p-values are adjusted. A new seed wins: the probability that a new"
            " run of the arm beats a new run of the baseline.",
            tables.gains(answer),
        )
    elif "gains" in drawn:
        yield Picture(
            drawn["gains"],
            "Gain in test accuracy of one pair of models each. Another seed would give another gain: several seeds give"
            " intervals. The band is the margin within which differences count as none.",
        )


def _accuracies(answer: Answer, drawn: Mapping[str, str]) -> Blocks:
    if "test_accuracy" in drawn:
        dots = "A dot a seed, an upright line at the mean, a level one for its 95 % interval (Student's t over seeds)."
        parts = [dots if _has_seeds(answer) else "A dot a run.", "The axis does not begin at zero."]
        if "teacher" in set(answer.comparison.arms["role"]):
            parts.append("The teacher has an axis of its own.")
        if answer.effects:
            parts.append("Gains are better judged by pairs of the same seed, as above.")
        yield Picture(drawn["test_accuracy"], " ".join(parts))


def _learning(answer: Answer, drawn: Mapping[str, str]) -> Blocks:
    if "accuracy_curves" in drawn:
        parts = ["Validation accuracy over the epochs"]
        if answer.comparison.baselines:
            parts.append(", and how far it is ahead of alpha = 1 of the same seed")
        parts.append(": means over seeds in a band from the lowest to the highest." if _has_seeds(answer) else ".")
        parts.append(" To be ahead early is to learn faster, not to end higher.")
        yield Picture(drawn["accuracy_curves"], "".join(parts))
    if reached := tables.learning(answer):
        spread = ": mean, the deviation in brackets" if _has_seeds(answer) else ""
        yield Table(f"Epochs until a validation accuracy is reached{spread}.", reached)


def _losses(drawn: Mapping[str, str]) -> Blocks:
    if "loss_curves" in drawn:
        yield Picture(
            drawn["loss_curves"],
            "The objective that is minimised has another floor for every alpha and temperature: a lower curve is not a"
            " better student. The cross-entropy with the labels and the divergence from the teacher can be compared.",
        )


def _fidelity(answer: Answer, drawn: Mapping[str, str]) -> Blocks:
    if found := tables.fidelity(answer):
        told = (
            "On test images, in %; KL(teacher || student) in nats. Accuracy where the teacher is right, and where it"
            " is wrong; errors shared are those of the teacher that the student repeats, class and all."
        )
        if answer.seed_agreement is not None:
            told += f" Two students of alpha = 1 agree with each other in {percent(answer.seed_agreement)} %."
        yield Table(told, found)
    if "fidelity" in drawn:
        yield Picture(
            drawn["fidelity"],
            "How near students come to their teachers, a dot a seed. Students that never saw the teacher (alpha = 1)"
            " agree with it too, as both are often right: what counts is how far others are beyond them.",
        )
    if not found and "teacher" in set(answer.comparison.arms["role"]):
        yield Text([NO_PREDICTIONS])


def _calibration(answer: Answer, drawn: Mapping[str, str]) -> Blocks:
    found = tables.calibration(answer)
    if not found:
        yield Text([NO_PREDICTIONS])
        return
    yield Table(
        "On test images, as trained: negative log-likelihood (NLL, nats), Brier score, and the expected error of"
        " calibration (ECE) in 15 bins with its 95 % interval over images. ECE depends on accuracy too, and NLL and"
        " Brier are proper scores: they come first.",
        found,
    )
    if scaled := tables.scaled_calibration(answer):
        yield Table("The same after scaling by the temperature that is best on clean validation images.", scaled)
    if "reliability" in drawn:
        yield Picture(
            drawn["reliability"],
            "Accuracy of images of like confidence: on the diagonal, confidence can be believed; below it, the model"
            " is too sure. Grey as trained, in colour after temperature scaling. Bins of few images scatter.",
        )


def _cost(answer: Answer, drawn: Mapping[str, str]) -> Blocks:
    if "cost" in drawn:
        yield Picture(
            drawn["cost"],
            "Test accuracy, mean and deviation over seeds, against what a model costs. Times hold for this machine.",
        )
    if found := tables.cost(answer):
        yield Table("Times are medians, taken beside the teacher in the same process.", found)


def _classes(answer: Answer) -> Blocks:
    cells, numbers, left_out = tables.class_gains(answer)
    if cells:
        most = max((abs(gain or 0) for gains in numbers.values() for gain in gains), default=0) or 1
        shades = {name: [(gain or 0) / most for gain in gains] for name, gains in numbers.items()}
        told = f" {left_out} classes between the most and the least are left out." if left_out else ""
        yield Table(
            "Gain in each class, percentage points, mean over seeds. Single classes have few images and no interval"
            f" here: take patterns, not cells.{told}",
            cells,
            shades=shades,
            is_matrix=True,
        )
    arm = tables.best(answer)
    if arm in answer.confusion and arm is not None:
        yield _confusion(answer, arm)


def _confusion(answer: Answer, arm: int) -> Table:
    shares = answer.confusion[arm]
    classes = list(map(str, dict.fromkeys(answer.class_accuracy["class"])))
    if len(classes) != len(shares):
        classes = list(map(str, range(len(shares))))
    name = arm_names(answer.comparison)[arm]
    if len(classes) > tables.MOST_CLASSES // 2:
        told = (
            f"What {name}, best on validation images, takes for each other most often, in % of the images of the class."
        )
        return Table(told, tables.confused(shares, classes))
    most = max((shares[a][b] for a in range(len(shares)) for b in range(len(shares)) if a != b), default=0) or 1
    cells = {taken: [f"{100 * line[place]:.1f}" for line in shares] for place, taken in enumerate(classes)}
    shades = {
        taken: [0.0 if label == place else -float(line[place]) / most for label, line in enumerate(shares)]
        for place, taken in enumerate(classes)
    }
    caption = f"What {name}, best on validation images, takes each class (lines) for, in %, mean over seeds."
    return Table(caption, {LINE: classes, **cells}, shades=shades, is_matrix=True)


def _partings(answer: Answer) -> Blocks:
    if answer.partings:
        name = arm_names(answer.comparison)[answer.partings[0].arm]
        yield Gallery(
            f"Test images on which most students of {name} answer otherwise than most teachers, the most telling first."
            " They are chosen for that: they say nothing about how often it happens.",
            [(one, "" if one.image is None else thumbnail(one.image)) for one in answer.partings],
        )


def _making(answer: Answer) -> Blocks:
    made, runs = answer.provenance, set(answer.comparison.runs["run_id"])
    links = {name: link for name, link in made.links.items() if name not in runs and _is_address(link)}
    if made.is_dirty:
        yield Text(["Some of these runs were made with code that no commit holds."])
    if made.facts or links:
        yield Facts(made.facts, links)


def _runs(answer: Answer) -> Blocks:
    runs = answer.comparison.runs
    if len(runs):
        links = [answer.provenance.links.get(run_id, "") for run_id in runs["run_id"][: tables.MOST_RUNS]]
        links = [link if _is_address(link) else "" for link in links]
        told = f" The first {len(links)} of {len(runs)}; comparison.csv has all." * (len(links) < len(runs))
        yield Table(f"Accuracies in %.{told}", tables.every_run(answer), links=links)


def _notes(answer: Answer) -> Blocks:
    lines = [*answer.remarks, *answer.comparison.footnotes]
    if lines:
        yield Text(lines, is_list=True)


def _has_seeds(answer: Answer) -> bool:
    return answer.comparison.has_seeds


def _is_address(link: str) -> bool:
    return link.startswith(("http://", "https://"))
