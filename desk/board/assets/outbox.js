// The outbox: one box chooses all, and dropping is confirmed.
const form = document.getElementById("changes");
const every = /** @type {HTMLInputElement | null} */ (document.getElementById("every"));
const boxes = () => [...document.querySelectorAll("input[name=id]")];
every?.addEventListener("change", () => boxes().forEach((b) => (b.checked = every.checked)));

const sure = /** @type {any} */ (document.getElementById("sure"));
for (const button of document.querySelectorAll("[data-confirm]")) {
  button.addEventListener("click", (e) => {
    e.preventDefault();
    sure.returnValue = "";
    sure.showModal();
    sure.addEventListener("close", () => {
      if (sure.returnValue !== "yes") return;
      form.action = button.getAttribute("formaction");
      form.submit();
    }, { once: true });
  });
}
