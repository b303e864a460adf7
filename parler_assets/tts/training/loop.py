"""Fine-tuning on transformers' Trainer, one optimiser update an item of the data.

The Trainer brings devices, processes, schedule, clipping, optimiser and the loop. Four things are done here: an
update's micro-batches are normalised by the real targets of the whole update over all processes; every update seeds
itself from its number, so that resuming needs no random state; evaluation counts every target once; checkpoints are
written by `checkpoints`.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from parler_assets.recipe import Training
from parler_assets.tts.training import checkpoints, metrics
from parler_assets.tts.training.batches import Batch, Reader, Updates
from parler_assets.tts.training.heldout import HeldOut
from parler_assets.tts.training.job import Job, TrainingFailed, TrainingRefused, latest, step_folder
from parler_assets.tts.training.reference import Reference
from parler_assets.tts.training.speed import Meter

logger = logging.getLogger(__name__)


def arguments(job: Job) -> TrainingArguments:
    """The Trainer's own settings. One item of the data is one update, so batch size and accumulation are 1.

    How many updates there are depends on the number of processes, which these arguments find out.
    """
    settings = job.settings
    args = TrainingArguments(
        output_dir=str(job.folder),
        per_device_train_batch_size=1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=settings.warmup_steps,
        max_grad_norm=settings.max_grad_norm,
        gradient_checkpointing=settings.gradient_checkpointing,
        logging_strategy="steps",
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=settings.evaluate_every,
        save_strategy="steps",
        save_steps=settings.save_every,
        seed=settings.seed,
        use_cpu=job.device == "cpu",
        ddp_backend="gloo" if job.device == "cpu" and "WORLD_SIZE" in os.environ else None,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=[],
    )
    args._n_gpu = min(args.n_gpu, 1)  # one device a process: never the threads of DataParallel
    return args


class FineTuner(Trainer):
    """One process of a training."""

    def __init__(
        self,
        job: Job,
        model: nn.Module,
        args: TrainingArguments,
        updates: Updates,
        held_out: HeldOut,
        held_out_reader: Reader,
        peak: float | None = None,
        packed: bool = True,
    ) -> None:
        super().__init__(model, args, train_dataset=updates, eval_dataset=held_out.batches, callbacks=[Moments()])
        self.network, self.job, self.settings, self.updates = model, job, job.settings, updates
        self.held_out, self.held_out_reader = held_out, held_out_reader
        self.meter = Meter(peak)
        self.packed = packed
        self.weights = codebook_weights(job.settings, updates.plan.lengths.codebooks).to(args.device)
        self.reference = Reference(updates, job.settings) if job.settings.like_reference else None
        self._codebooks = torch.zeros_like(self.weights)
        states = updates.reader.states
        self._states = states.table.to(args.device) if states else None
        self._held_out_losses: list[float] = []
        self._first_step = self._logged = 0
        self._rows: list[int] = []

    def run(self) -> None:
        """Train to the end, from the newest complete checkpoint where there is one."""
        resumed = latest(self.job.checkpoints)
        if self.is_world_process_zero():
            metrics.cut_back(self.job.metrics, resumed[1] if resumed else 0)
        self.accelerator.wait_for_everyone()
        self._held_out_losses = [loss for _, loss in metrics.held_out_losses(self.job.metrics)]
        if not resumed:
            self.evaluate()
        self.train(resume_from_checkpoint=str(resumed[0]) if resumed else None)

    # ------------------------------------------------------------------------------------------------------- updates

    def get_train_dataloader(self) -> DataLoader:
        return DataLoader(self.updates, batch_size=1, collate_fn=lambda items: items[0])

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch=None) -> torch.Tensor:
        """Gradients of one update; returns this process's part of its mean loss, times the number of processes."""
        model.train()
        seed_update(self.settings.seed, self.state.global_step, self.accelerator.process_index)
        inputs = self._prepare_inputs(inputs)
        scale = inputs["counted"] * self.accelerator.num_processes / inputs["targets"]
        summed = torch.zeros_like(self.weights)
        for place, batch in enumerate(inputs["batches"], 1):
            last = place == len(inputs["batches"])
            with nullcontext() if last else self.accelerator.no_sync(model):
                losses = self.losses(model, batch)
                self.accelerator.backward(losses @ self.weights * scale)
            summed += losses.detach()
        if self.reference:
            self.reference.update(inputs["batches"], losses.detach())
        self._codebooks += summed * scale
        self._rows = inputs["rows"]
        self.meter.count(inputs["frames"], inputs["flops"])
        return summed @ self.weights * scale

    def losses(
        self, model: nn.Module, batch: Batch, reduction: str = "sum", count_padding: bool = False
    ) -> torch.Tensor:
        """Loss of each codebook (K,) float32, over the real targets of a micro-batch.

        With `count_padding` positions start with a prompt's padding, as in the reference: the loss of a clip then
        depends on its batch.
        """
        batch = dict(batch)
        if self._states is not None:
            batch["description_states"] = self._states[batch.pop("state_rows")]
        half = self.settings.precision == "bfloat16"
        with torch.autocast(self.args.device.type, torch.bfloat16, enabled=half):
            output = model(
                **batch,
                loss_reduction=reduction,
                output_logits=False,
                count_padding=count_padding,
                packed=self.packed,
            )
        return torch.stack(output.per_codebook_losses)

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor:
        """Clip, unless a gradient is not finite: then stop, before the optimiser has seen it.

        Raises:
            TrainingFailed: naming the update, its clips, and what to do.
        """
        norm = super()._clip_grad_norm(model)
        if not torch.isfinite(norm):
            table = self.updates.reader.split.table
            names = [f"{table['corpus'][row]}/{table['id'][row]}" for row in self._rows]
            kept = latest(self.job.checkpoints)
            raise TrainingFailed(
                f"update {self.state.global_step + 1}: the loss or its gradient is not finite; it changed nothing; "
                f"lower training.learning_rate, or look at its clips ({', '.join(names[:8])}"
                f"{', ...' if len(names) > 8 else ''}); weights are kept as of update {kept[1] if kept else 0}"
            )
        return norm

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over what is trained, one group as in the reference: norms and embeddings decay too."""
        settings = self.settings
        self.optimizer = torch.optim.AdamW(
            checkpoints.trained(self.network).values(),
            lr=settings.learning_rate,
            betas=(settings.adam_beta1, settings.adam_beta2),
            eps=settings.adam_epsilon,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        return self.optimizer

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return int(inputs["flops"])

    # ------------------------------------------------------------------------------------------------------- metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write a line of metrics; what the Trainer sums up at its end is left out."""
        self.control.should_log = False
        if "loss" not in logs:
            return
        step = self.state.global_step
        updates, self._logged = step - self._logged, step
        codebooks = self.accelerator.reduce(self._codebooks, "mean") / updates
        self._codebooks = torch.zeros_like(self._codebooks)
        line = {key: logs[key] for key in ("loss", "grad_norm", "learning_rate")}
        line |= {f"train_codebook/{k}": value for k, value in enumerate(codebooks.tolist())}
        line |= self.meter.report(step - self._first_step, len(self.updates) - step)
        if self.reference:
            line |= self.reference.report()
        self.write(line)

    def write(self, line: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl, by one process."""
        step = self.state.global_step
        if self.is_world_process_zero():
            epoch = round(step / self.updates.plan.updates_per_epoch, 4)
            metrics.append(self.job.metrics, {"step": step, "epoch": epoch, "time": round(time.time(), 3)} | line)

    # ---------------------------------------------------------------------------------------------------- evaluation

    def evaluate(self, *_args, **_options) -> dict[str, float]:
        """Held-out loss by codebook, style and speaker; keeps the best weights, asks to stop when they are old."""
        with self.meter.paused(), torch.no_grad():
            self.network.eval()
            report = self._held_out_report()
            if self.reference:
                report |= self.reference.evaluate(self.losses, self.network)
            self._keep_best(report["eval_loss"])
            self.write(report)
        self.control.should_evaluate = False
        return report

    def _held_out_report(self) -> dict[str, float]:
        process, processes = self.accelerator.process_index, self.accelerator.num_processes

        def loss(rows: tuple[int, ...]) -> torch.Tensor:
            return self.losses(self.network, self._prepare_inputs(self.held_out_reader(rows)))

        sums = self.held_out.sums(loss, len(self.weights), process, processes).to(self.args.device)
        sums = self.accelerator.reduce(sums, "sum").cpu().numpy()
        return self.held_out.report(sums, self.weights.double().cpu().numpy())

    def _keep_best(self, loss: float) -> None:
        step, losses = self.state.global_step, self._held_out_losses
        if loss < min(losses, default=float("inf")) and self.is_world_process_zero():
            folder = step_folder(self.job.best, step)
            self._write(folder, None, {"step": step, "eval_loss": loss}, keep=1)
        self.accelerator.wait_for_everyone()
        losses.append(loss)
        patience = self.settings.early_stopping
        if patience and len(losses) - 1 - int(np.argmin(losses)) >= patience:
            logger.info("no better held-out loss in %d evaluations: training stops", patience)
            self.control.should_training_stop = self.control.should_save = True

    # --------------------------------------------------------------------------------------------------- checkpoints

    def _save_checkpoint(self, model: nn.Module, trial=None) -> None:
        with self.meter.paused():
            if self.is_world_process_zero():
                folder = step_folder(self.job.checkpoints, self.state.global_step)
                self._write(folder, self.optimizer, asdict(self.state), self.settings.keep_checkpoints)
            self.accelerator.wait_for_everyone()

    def _write(self, folder: Path, optimizer, state: dict, keep: int) -> None:
        """Write a checkpoint. A full disk does not end training: earlier checkpoints are kept, the next may fit."""
        try:
            checkpoints.save(folder, self.network, optimizer, state)
            checkpoints.rotate(folder.parent, keep)
        except OSError as error:
            logger.warning("no checkpoint at update %d: %s", self.state.global_step, error)
            self.write({"warning": f"no checkpoint: {error}"})

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        checkpoints.load_weights(Path(resume_from_checkpoint), self.network)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """The optimiser's state from the checkpoint, the learning rate from the step alone."""
        if checkpoint is None:
            return
        optimizer, schedule = self.optimizer, self.lr_scheduler
        assert optimizer is not None
        assert schedule is not None
        checkpoints.load_optimizer(Path(checkpoint), self.network, optimizer)
        step = self._first_step = self._logged = schedule.last_epoch = self.state.global_step
        schedule._last_lr = [rate * f(step) for rate, f in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
        for group, rate in zip(optimizer.param_groups, schedule._last_lr, strict=True):
            group["lr"] = rate

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing: every update seeds itself."""


class Moments(TrainerCallback):
    """The last update is evaluated and saved. What is saved is logged, so that averages start anew at a checkpoint."""

    def on_step_end(self, args, state, control, **_):
        if state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True
        control.should_log = control.should_log or control.should_save


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
