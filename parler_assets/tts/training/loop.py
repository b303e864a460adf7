"""The training loop: one optimiser update an item of the data, on as many processes as accelerate finds.

An update's micro-batches are normalised by the real targets of the whole update over all processes. Every update seeds
itself from its number and its learning rate follows from it, so that resuming needs neither random state nor that of a
scheduler. Evaluation counts every target once.
"""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from parler_assets.recipe import Training
from parler_assets.tts.training import checkpoints, metrics
from parler_assets.tts.training.batches import Batch, Reader, Updates
from parler_assets.tts.training.heldout import HeldOut
from parler_assets.tts.training.job import Job, TrainingFailed, TrainingRefused, latest, step_folder
from parler_assets.tts.training.optimizer import adamw, learning_rates
from parler_assets.tts.training.reference import Reference
from parler_assets.tts.training.speed import Meter
from parler_assets.tts.training.states import newest_intact, remove_others

logger = logging.getLogger(__name__)


class FineTuner:
    """One process of a training.

    Attributes:
        network: the model itself; `model` is what gradients are exchanged through where there are several processes.
        step: updates made so far.
    """

    def __init__(
        self,
        job: Job,
        network: nn.Module,
        accelerator: Accelerator,
        updates: Updates,
        held_out: HeldOut,
        held_out_reader: Reader,
        peak: float | None = None,
        packed: bool = True,
    ) -> None:
        self.job, self.settings, self.accelerator, self.network = job, job.settings, accelerator, network
        self.updates, self.held_out, self.held_out_reader, self.packed = updates, held_out, held_out_reader, packed
        self.weights = codebook_weights(job.settings, updates.plan.lengths.codebooks).to(accelerator.device)
        if job.settings.gradient_checkpointing:
            network.gradient_checkpointing_enable()  # type: ignore[operator]  # of every PreTrainedModel
        self.model = accelerator.prepare(network)
        self.optimizer = adamw(checkpoints.trained(network).values(), job.settings)
        self.rate = learning_rates(self.optimizer, job.settings, len(updates))
        self.reference = Reference(updates, job.settings) if job.settings.like_reference else None
        states = updates.reader.states
        self._states = states.table.to(accelerator.device) if states else None
        self.meter = Meter(peak)
        self.step = self._first_step = self._logged = 0
        self._codebooks, self._norm = torch.zeros_like(self.weights), torch.zeros(())
        self._held_out_losses: list[float] = []

    def run(self) -> None:
        """Train to the end, from the newest complete checkpoint where there is one."""
        if self.accelerator.is_main_process:
            for states in (self.job.best, self.job.checkpoints):
                remove_others(states, self.job.fingerprint)
            newest_intact(self.job.best)
            intact = newest_intact(self.job.checkpoints)
            metrics.resume(self.job.metrics, *(intact or (None, 0)))
        self.accelerator.wait_for_everyone()
        resumed = latest(self.job.checkpoints)
        self._held_out_losses = [loss for _, loss in metrics.held_out_losses(self.job.metrics)]
        if resumed:
            self._resume(*resumed)
        else:
            self.evaluate()
        while self.step < len(self.updates) and not self._out_of_patience():
            self.update(self.updates[self.step])
            self._look_and_save()

    def _resume(self, folder: Path, step: int) -> None:
        checkpoints.load_weights(folder, self.network)
        checkpoints.load_optimizer(folder, self.network, self.optimizer)
        self.step = self._first_step = self._logged = step

    def _look_and_save(self) -> None:
        """What follows an update. What is saved is logged, so that averages start again at a checkpoint."""
        settings, last = self.settings, self.step == len(self.updates)
        save = last or self.step % settings.save_every == 0
        if save or self.step % settings.log_every == 0:
            self.log()
        if last or self.step % settings.evaluate_every == 0:
            self.evaluate()
        if save or self._out_of_patience():
            self.save()

    # ------------------------------------------------------------------------------------------------------- updates

    def update(self, update: dict[str, Any]) -> None:
        """One optimiser step on an item of `updates`."""
        self.model.train()
        seed_update(self.settings.seed, self.step, self.accelerator.process_index)
        self._backward(update)
        self._norm = self._clip(update["rows"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.meter.count(update["frames"], update["flops"])

    def _backward(self, update: dict[str, Any]) -> None:
        """Gradients of the update's mean loss over the targets of all processes, whose gradients are averaged."""
        scale = update["counted"] * self.accelerator.num_processes / update["targets"]
        for place, batch in enumerate(update["batches"], 1):
            last = place == len(update["batches"])
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                losses = self.losses(self.model, batch)
                self.accelerator.backward(losses @ self.weights * scale)
            self._codebooks += losses.detach() * scale
        if self.reference:
            self.reference.update(update["batches"], losses.detach())

    def losses(
        self, model: nn.Module, batch: Batch, reduction: str = "sum", count_padding: bool = False
    ) -> torch.Tensor:
        """Loss of each codebook (K,) float32, over the real targets of a micro-batch.

        With `count_padding` positions start with a prompt's padding, as in the reference: the loss of a clip then
        depends on its batch.
        """
        device = self.accelerator.device
        batch = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        if self._states is not None:
            batch["description_states"] = self._states[batch.pop("state_rows")]
        half = self.settings.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            output = model(
                **batch,
                loss_reduction=reduction,
                output_logits=False,
                count_padding=count_padding,
                packed=self.packed,
            )
        return torch.stack(output.per_codebook_losses)

    def _clip(self, rows: list[int]) -> torch.Tensor:
        """Clip gradients and return their norm, unless one is not finite: then stop, before the optimiser has seen it.

        Raises:
            TrainingFailed: naming the update, its clips, and what to do.
        """
        norm = nn.utils.clip_grad_norm_(checkpoints.trained(self.network).values(), self.settings.max_grad_norm)
        if torch.isfinite(norm):
            return norm
        table = self.updates.reader.split.table
        names = [f"{table['corpus'][row]}/{table['id'][row]}" for row in rows]
        kept = latest(self.job.checkpoints)
        raise TrainingFailed(
            f"update {self.step + 1}: the loss or its gradient is not finite; it changed nothing; "
            f"lower training.learning_rate, or look at its clips ({', '.join(names[:8])}"
            f"{', ...' if len(names) > 8 else ''}); weights are kept as of update {kept[1] if kept else 0}"
        )

    # ------------------------------------------------------------------------------------------------------- metrics

    def log(self) -> None:
        """Write a line of metrics: means over the updates since the last one."""
        updates, self._logged = self.step - self._logged, self.step
        codebooks = self.accelerator.reduce(self._codebooks, "mean") / updates
        self._codebooks = torch.zeros_like(self._codebooks)
        line = {"loss": float(codebooks @ self.weights), "grad_norm": float(self._norm)}
        line["learning_rate"] = self.rate(self.step - 1)
        line |= {f"train_codebook/{k}": value for k, value in enumerate(codebooks.tolist())}
        line |= self.meter.report(self.step - self._first_step, len(self.updates) - self.step)
        if self.reference:
            line |= self.reference.report()
        logger.info("update %d of %d: loss %.4f", self.step, len(self.updates), line["loss"])
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl, by one process."""
        if self.accelerator.is_main_process:
            epoch = round(self.step / self.updates.plan.updates_per_epoch, 4)
            place = {"step": self.step, "updates": len(self.updates), "epoch": epoch}
            whole = place | {"time": round(time.time(), 3)} | line
            try:
                metrics.append(self.job.metrics, whole)
            except OSError as error:
                raise self._stopped(f"metrics of update {self.step} cannot be written", error) from error

    # ---------------------------------------------------------------------------------------------------- evaluation

    def evaluate(self) -> None:
        """Held-out loss by codebook, style and speaker; keeps the best weights."""
        with self.meter.paused(), torch.no_grad():
            self.network.eval()
            report = self.held_out_report()
            if self.reference:
                report |= self.reference.evaluate(self.losses, self.network)
            self._keep_best(report["eval_loss"])
            self._write(report)

    def held_out_report(self) -> dict[str, float]:
        """The held-out metrics of the weights as they are, the same in every process."""
        process, processes = self.accelerator.process_index, self.accelerator.num_processes

        def loss(rows: tuple[int, ...]) -> torch.Tensor:
            return self.losses(self.network, self.held_out_reader(rows))

        sums = self.held_out.sums(loss, len(self.weights), process, processes).to(self.accelerator.device)
        sums = self.accelerator.reduce(sums, "sum").cpu().numpy()
        return self.held_out.report(sums, self.weights.double().cpu().numpy())

    def _keep_best(self, loss: float) -> None:
        """Keep the weights if they are the best so far, or if those that were are lost."""
        if self.accelerator.is_main_process:
            kept = latest(self.job.best)
            if kept is None or loss < min(self._held_out_losses, default=float("inf")):
                self._save(self.job.best, None, {"eval_loss": loss}, keep=1)
        self.accelerator.wait_for_everyone()
        self._held_out_losses.append(loss)

    def _out_of_patience(self) -> bool:
        """Whether the held-out loss has not become better for as many evaluations as training.early_stopping says."""
        patience, losses = self.settings.early_stopping, self._held_out_losses
        stop = bool(patience) and len(losses) - 1 - int(np.argmin(losses)) >= patience
        if stop:
            logger.info("no better held-out loss in %d evaluations: training stops", patience)
        return stop

    # --------------------------------------------------------------------------------------------------- checkpoints

    def save(self) -> None:
        """Write what training can be resumed from."""
        with self.meter.paused():
            if self.accelerator.is_main_process:
                keep = self.settings.keep_checkpoints
                self._save(self.job.checkpoints, self.optimizer, {}, keep)
            self.accelerator.wait_for_everyone()

    def _save(self, parent: Path, optimizer: torch.optim.Optimizer | None, state: dict, keep: int) -> None:
        """Write a checkpoint.

        Raises:
            TrainingFailed: it cannot be saved; what was saved before is kept, and training on would be lost.
        """
        try:
            facts = {"step": self.step, "fingerprint": self.job.fingerprint, **state}
            log = self.job.metrics if optimizer else None  # a kept best is not resumed from
            checkpoints.save(step_folder(parent, self.step), self.network, optimizer, facts, log)
        except OSError as error:
            raise self._stopped(f"update {self.step} cannot be saved", error) from error
        checkpoints.rotate(parent, keep)

    def _stopped(self, what: str, error: OSError) -> TrainingFailed:
        kept = latest(self.job.checkpoints)
        after = f"goes on at update {kept[1]}" if kept else "begins again"
        return TrainingFailed(f"{what}, so training stops here: {error}; make room and start it again: it {after}")


def codebook_weights(settings: Training, codebooks: int) -> torch.Tensor:
    """Weights (K,) that sum to 1."""
    weights = torch.tensor(settings.codebook_weights or [1.0] * codebooks, dtype=torch.float32)
    if len(weights) != codebooks:
        raise TrainingRefused(
            f"training.codebook_weights has {len(weights)} values, the base has {codebooks} codebooks"
        )
    return weights / weights.sum()


def seed_update(seed: int, update: int, process: int) -> None:
    """All randomness of an update (dropout) follows from its number."""
    torch.manual_seed(int(np.random.SeedSequence([seed, update, process]).generate_state(1, np.uint64)[0] >> 1))
