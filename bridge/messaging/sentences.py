"""What the service itself writes: that a conversation is stopped, that it goes on, and
what a writer hears where the model may not be asked or has failed too often.

Pure data by ISO 639-1; a language without a sentence gets the English one.
"""

STOPPED = {
    "ar": "لن نرسل إليكم رسائل بعد الآن. للاستئناف اكتبوا START.",
    "de": "Sie erhalten keine Nachrichten mehr von uns. Wenn Sie START schreiben, "
    "antworten wir wieder.",
    "en": "You will get no more messages from us. Write START and we answer again.",
    "es": "No recibirá más mensajes nuestros. Escriba START y volveremos a responder.",
    "fr": "Vous ne recevrez plus de messages de notre part. Écrivez START pour "
    "reprendre la conversation.",
    "he": "לא נשלח לכם עוד הודעות. כדי לחדש את השיחה כתבו START.",
    "it": "Non riceverà più messaggi da noi. Scriva START per riprendere.",
    "nl": "U krijgt geen berichten meer van ons. Schrijf START en wij antwoorden weer.",
    "pl": "Nie będziemy już wysyłać wiadomości. Napisz START, aby wznowić rozmowę.",
    "pt": "Não receberá mais mensagens nossas. Escreva START para retomar a conversa.",
    "ru": "Мы больше не будем вам писать. Напишите START, и мы снова ответим.",
    "tr": "Size artık mesaj göndermeyeceğiz. Yeniden başlamak için START yazın.",
    "uk": "Ми більше не надсилатимемо вам повідомлень. Напишіть START, щоб продовжити.",
}
STARTED = {
    "ar": "أهلا بعودتكم. كيف يمكننا مساعدتكم؟",
    "de": "Willkommen zurück. Was können wir für Sie tun?",
    "en": "Welcome back. What can we do for you?",
    "es": "Bienvenido de nuevo. ¿En qué podemos ayudarle?",
    "fr": "Bon retour. Que pouvons-nous faire pour vous ?",
    "he": "שמחים שחזרתם. במה נוכל לעזור?",
    "it": "Bentornato. Cosa possiamo fare per lei?",
    "nl": "Welkom terug. Wat kunnen wij voor u doen?",
    "pl": "Witamy ponownie. W czym możemy pomóc?",
    "pt": "Bem-vindo de volta. Em que podemos ajudar?",
    "ru": "С возвращением. Чем мы можем помочь?",
    "tr": "Tekrar hoş geldiniz. Size nasıl yardımcı olabiliriz?",
    "uk": "З поверненням. Чим ми можемо допомогти?",
}
# The business has no money left for today.
SPENT = {
    "ar": "عذرًا، لا يمكننا الرد كتابيًا اليوم بعد الآن. وصلتنا رسالتكم.",
    "de": "Wir können heute leider nicht mehr schriftlich antworten. Ihre Nachricht "
    "ist bei uns angekommen.",
    "en": "Sorry, we cannot answer in writing any more today. We have your message.",
    "es": "Lo sentimos, hoy ya no podemos responder por escrito. Hemos recibido su "
    "mensaje.",
    "fr": "Désolé, nous ne pouvons plus répondre par écrit aujourd'hui. Votre "
    "message nous est bien parvenu.",
    "he": "מצטערים, היום כבר לא נוכל לענות בכתב. ההודעה שלכם התקבלה.",
    "it": "Ci dispiace, oggi non possiamo più rispondere per iscritto. Abbiamo "
    "ricevuto il suo messaggio.",
    "nl": "Sorry, vandaag kunnen we niet meer schriftelijk antwoorden. Uw bericht is "
    "bij ons aangekomen.",
    "pl": "Przepraszamy, dziś nie możemy już odpowiadać na piśmie. Otrzymaliśmy "
    "Państwa wiadomość.",
    "pt": "Desculpe, hoje já não podemos responder por escrito. Recebemos a sua "
    "mensagem.",
    "ru": "Извините, сегодня мы больше не можем отвечать письменно. Ваше сообщение "
    "получено.",
    "tr": "Üzgünüz, bugün artık yazılı yanıt veremiyoruz. Mesajınız bize ulaştı.",
    "uk": "Вибачте, сьогодні ми більше не можемо відповідати письмово. Ваше "
    "повідомлення отримано.",
}
# A turn that failed again and again.
FAILED = {
    "ar": "عذرًا، حدث خطأ لدينا ولم نتمكن من الرد على رسالتكم. الرسالة محفوظة لدينا.",
    "de": "Bei uns ist leider etwas schiefgegangen, wir konnten Ihre Nachricht nicht "
    "beantworten. Sie ist bei uns gespeichert.",
    "en": "Sorry, something went wrong on our side and your message was not "
    "answered. We have kept it.",
    "es": "Lo sentimos, algo ha fallado por nuestra parte y no hemos podido "
    "responder a su mensaje. Lo hemos guardado.",
    "fr": "Désolé, une erreur de notre côté nous a empêchés de répondre à votre "
    "message. Nous l'avons conservé.",
    "he": "מצטערים, משהו השתבש אצלנו ולא הצלחנו לענות להודעה שלכם. ההודעה נשמרה אצלנו.",
    "it": "Ci dispiace, qualcosa è andato storto da parte nostra e il suo messaggio "
    "non ha avuto risposta. Lo abbiamo conservato.",
    "nl": "Sorry, er ging bij ons iets mis en uw bericht is niet beantwoord. We "
    "hebben het bewaard.",
    "pl": "Przepraszamy, po naszej stronie coś się nie powiodło i nie "
    "odpowiedzieliśmy na wiadomość. Została zapisana.",
    "pt": "Desculpe, algo correu mal do nosso lado e a sua mensagem não teve "
    "resposta. Ficou guardada.",
    "ru": "Извините, у нас что-то пошло не так, и на ваше сообщение не удалось "
    "ответить. Оно сохранено.",
    "tr": "Üzgünüz, bizim tarafımızda bir sorun oluştu ve mesajınız yanıtlanamadı. "
    "Mesajınız kayıtlıdır.",
    "uk": "Вибачте, у нас щось пішло не так, і на ваше повідомлення не вдалося "
    "відповісти. Воно збережене.",
}
# The answer takes long; once a turn.
LATE = {
    "ar": "وصلتنا رسالتكم. الرد يستغرق وقتًا أطول من المعتاد، وسنكتب لكم هنا.",
    "de": "Ihre Nachricht ist angekommen. Die Antwort dauert länger als sonst; wir "
    "schreiben Ihnen hier.",
    "en": "We have your message. The answer takes longer than usual; we will write to "
    "you here.",
    "es": "Hemos recibido su mensaje. La respuesta tarda más de lo habitual; le "
    "escribiremos aquí.",
    "fr": "Nous avons bien reçu votre message. La réponse prend plus de temps que "
    "d'habitude ; nous vous écrirons ici.",
    "he": "ההודעה שלכם התקבלה. התשובה מתעכבת מהרגיל, ונכתוב לכם כאן.",
    "it": "Abbiamo ricevuto il suo messaggio. La risposta richiede più tempo del "
    "solito; le scriveremo qui.",
    "nl": "Uw bericht is binnen. Het antwoord duurt langer dan anders; we schrijven u "
    "hier.",
    "pl": "Otrzymaliśmy wiadomość. Odpowiedź trwa dłużej niż zwykle; napiszemy tutaj.",
    "pt": "Recebemos a sua mensagem. A resposta demora mais do que o habitual; "
    "escreveremos aqui.",
    "ru": "Ваше сообщение получено. Ответ занимает больше времени, чем обычно; мы "
    "напишем вам здесь.",
    "tr": "Mesajınız bize ulaştı. Yanıt her zamankinden uzun sürüyor; size buradan "
    "yazacağız.",
    "uk": "Ваше повідомлення отримано. Відповідь триває довше, ніж зазвичай; ми "
    "напишемо вам тут.",
}
# The words on the button that opens a list of times, of at most 20 characters.
CHOOSE_TIME = {
    "ar": "اختيار موعد",
    "de": "Zeit auswählen",
    "en": "Choose a time",
    "es": "Elegir hora",
    "fr": "Choisir l'heure",
    "he": "בחירת שעה",
    "it": "Scegli l'orario",
    "nl": "Kies een tijd",
    "pl": "Wybierz godzinę",
    "pt": "Escolher horário",
    "ru": "Выбрать время",
    "tr": "Saat seçin",
    "uk": "Обрати час",
}
# Above a link that puts an appointment into the calendar of a telephone.
CALENDAR = {
    "ar": "أضيفوا الموعد إلى تقويمكم:",
    "de": "Termin in den Kalender eintragen:",
    "en": "Add it to your calendar:",
    "es": "Añadir la cita al calendario:",
    "fr": "Ajouter le rendez-vous à l'agenda :",
    "he": "להוספת התור ליומן:",
    "it": "Aggiungi l'appuntamento al calendario:",
    "nl": "Zet de afspraak in uw agenda:",
    "pl": "Dodaj wizytę do kalendarza:",
    "pt": "Adicionar a marcação ao calendário:",
    "ru": "Добавить запись в календарь:",
    "tr": "Randevuyu takviminize ekleyin:",
    "uk": "Додати запис до календаря:",
}


def in_language(sentences: dict[str, str], language: str) -> str:
    """Return the sentence in a language; tags such as pt-BR count by their language."""
    return sentences.get(language.partition("-")[0], sentences["en"])
